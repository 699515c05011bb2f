import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import {
  type AddressInfo,
  createServer as createNetServer,
  type ListenOptions,
  type Server as NetServer,
  type Socket,
} from "node:net";
import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { createBoundedServer, type ServerOptions } from "./bounded-server.ts";

/** Most turns of the event loop that a closing server goes on taking connections. */
const maxClosingTurns = 1000;

/** Sockets that a listener takes connections by, where the system lets them share a port: Node takes one a turn from each. */
const acceptors = 16;

/**
 * An HTTP server whose every wait and size is bounded, and which takes many connections in one turn of the event loop: with
 * one a turn, a replica that is busy delivering would let those who reconnect wait for minutes.
 */
export class Listener {
  readonly #server: Server;
  /** Take connections for the server, beside itself. */
  readonly #others: NetServer[] = [];
  readonly #sockets = new Set<Socket>();
  /** As the servers of http and https make their sockets. */
  readonly #allowHalfOpen: boolean;

  constructor(options: ServerOptions) {
    this.#server = createBoundedServer(options);
    this.#allowHalfOpen = !options.certificate;
    this.#server.on("connection", (socket) => this.#track(socket));
    // Here `bytesRead` is what was said inside of TLS.
    if (options.certificate) this.#server.on("secureConnection", (socket: Socket) => this.#track(socket));
  }

  /** Hands upgrades to `websocket` over. Without it every request is served as if it asked for none. */
  onUpgrade(take: (request: IncomingMessage, socket: Duplex, head: Buffer) => void): void {
    this.#server.on("upgrade", take);
  }

  /**
   * Listens and resolves with the port.
   *
   * @throws Error of the system: EADDRINUSE, EACCES, …
   */
  async listen(port: number, host: string): Promise<number> {
    // Who shares a port does not see that another process of the same user has it already.
    if (port !== 0) await checkFree(port, host);
    const shared = await listenOn(this.#server, { port, host, reusePort: true }).catch(() => undefined);
    if (shared === undefined) return listenOn(this.#server, { port, host });
    while (this.#others.length < acceptors - 1) {
      const other = createNetServer({ allowHalfOpen: this.#allowHalfOpen, noDelay: true }, (socket) => {
        this.#server.emit("connection", socket);
      });
      this.#others.push(other);
      await listenOn(other, { port: shared, host, reusePort: true });
    }
    return shared;
  }

  /**
   * Stops taking connections and lets the requests under way end.
   *
   * @param timeoutMs after this time what is still open is cut
   */
  async close(timeoutMs: number): Promise<void> {
    if (!this.#server.listening) return;
    const timer = setTimeout(() => {
      this.#server.closeAllConnections();
      // In the middle of a TLS handshake a connection is none yet for the server.
      for (const socket of this.#sockets) socket.destroy();
    }, timeoutMs);
    await this.#backlogTaken();
    const closed = [this.#server, ...this.#others].map((server) => {
      const isClosed = server.listening ? once(server, "close") : undefined;
      server.close();
      return isClosed;
    });
    this.#server.closeIdleConnections();
    // Whoever has connected and said nothing is not idle for Node.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    await Promise.all(closed);
    clearTimeout(timer);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  /**
   * Waits for a turn of the event loop in which nobody connected. The system has connected clients that Node did not take
   * yet; to close the listening sockets would reset them, with the requests that they have sent.
   */
  async #backlogTaken(): Promise<void> {
    let connected = true;
    const onConnection = () => {
      connected = true;
    };
    this.#server.on("connection", onConnection);
    // The first turn may be over its polling already.
    await turn();
    for (let turns = 0; connected && turns < maxClosingTurns; turns++) {
      connected = false;
      await turn();
    }
    this.#server.off("connection", onConnection);
  }
}

/** Rejects when the port cannot be listened on alone. */
async function checkFree(port: number, host: string): Promise<void> {
  const server = createNetServer((socket) => socket.destroy());
  await listenOn(server, { port, host });
  await new Promise((resolve) => server.close(resolve));
}

async function listenOn(server: NetServer, options: ListenOptions): Promise<number> {
  server.listen(options);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
