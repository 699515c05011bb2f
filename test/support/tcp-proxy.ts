import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** A TCP proxy on loopback whose connections a test can cut, hold up and refuse. */
export interface TcpProxy {
  readonly port: number;
  /** Where new connections lead. */
  target: number;
  /** Connections whose first bytes match are cut at once; undefined: none. */
  block: RegExp | undefined;
  /** Cuts every connection; new ones are taken. */
  cut(): void;
  /** Cuts every connection and refuses new ones until `resume`. */
  stop(): void;
  /** Passes nothing on any more, in silence, until `resume`. */
  hold(): void;
  /** Passes nothing on to the clients that have sent what the test holds for, in silence and for good. */
  holdOne(test: (sent: string) => boolean): void;
  resume(): void;
}

/** Starts a proxy in front of a port on this machine; it ends with the test. */
export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const pairs = new Map<Socket, { sent: string; readonly target: Socket }>();
  let stopped = false;
  let held = false;
  const server = createServer((client) => {
    if (stopped) {
      client.resetAndDestroy();
      return;
    }
    const target = connect(proxy.target, "127.0.0.1");
    client.once("data", (chunk) => {
      if (proxy.block?.test(chunk.toString("latin1"))) client.destroy();
    });
    const pair = { sent: "", target };
    pairs.set(client, pair);
    client.on("close", () => pairs.delete(client));
    client.on("data", (chunk) => {
      pair.sent += chunk.toString("latin1");
    });
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk) => to.write(chunk));
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      if (held) from.pause();
    }
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    cut();
    server.close();
  });
  const proxy: TcpProxy = {
    port: (server.address() as AddressInfo).port,
    target: targetPort,
    block: undefined,
    cut,
    stop() {
      stopped = true;
      cut();
    },
    hold() {
      held = true;
      for (const socket of sockets) socket.pause();
    },
    holdOne(test) {
      for (const { sent, target } of pairs.values()) {
        if (test(sent)) target.pause().removeAllListeners("data");
      }
    },
    resume() {
      stopped = false;
      held = false;
      for (const socket of sockets) socket.resume();
    },
  };
  return proxy;
}
