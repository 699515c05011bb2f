import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { Audience } from "../../src/load/audience.ts";
import type { ConnectionPlan } from "../../src/load/connection.ts";
import { until } from "../support/service.ts";

/** A WebSocket server whose sockets a test writes to as it likes. */
async function startRawServer(): Promise<{ port: number; sockets: Socket[]; pongs: string[] }> {
  const sockets: Socket[] = [];
  const pongs: string[] = [];
  const server = createServer();
  const upgrades = new WebSocketServer({ noServer: true });
  const { createServer: createHttp } = await import("node:http");
  const http = createHttp();
  http.on("upgrade", (request, socket, head) => {
    upgrades.handleUpgrade(request, socket, head, (ws) => {
      ws.on("pong", (data) => pongs.push(String(data)));
      sockets.push(socket as Socket);
    });
  });
  server.on("connection", (socket) => http.emit("connection", socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets, pongs };
}

function audienceOf(port: number, plan: Partial<ConnectionPlan> = {}): Audience {
  const endpoint = { address: "127.0.0.1", port, host: "localhost" };
  const connection = () => ({
    endpoint,
    path: "/",
    subprotocols: [],
    compression: false,
    hello: [],
    greetings: 0,
    ...plan,
  });
  const audience = new Audience({ connections: 1, connection, sampleEvery: 1 });
  onTestFinished(() => audience.close());
  return audience;
}

/** A frame of a server. */
function frame(opcode: number, size: number, fin = true): Buffer {
  const length = Buffer.alloc(size < 126 ? 2 : size < 65_536 ? 4 : 10);
  length[0] = (fin ? 0x80 : 0) | opcode;
  length[1] = size < 126 ? size : size < 65_536 ? 126 : 127;
  if (size >= 65_536) length.writeUInt32BE(size, 6);
  else if (size >= 126) length.writeUInt16BE(size, 2);
  return Buffer.concat([length, Buffer.alloc(size, "x")]);
}

const [continuation, text, ping] = [0, 1, 9];

describe("Audience", () => {
  it("counts messages of every size, however they are cut", async () => {
    const { port, sockets, pongs } = await startRawServer();
    const audience = audienceOf(port);
    await audience.open();
    const [socket] = sockets as [Socket];
    const sizes = [0, 1, 125, 126, 65_535, 65_536, 3];
    const whole = Buffer.concat([
      ...sizes.map((size) => frame(text, size)),
      frame(text, 10, false),
      frame(ping, 5),
      frame(continuation, 200),
    ]);
    const messages = sizes.length + 1;
    for (const pieceLength of [whole.length, 1000, 7]) {
      for (let at = 0; at < whole.length; at += pieceLength) {
        // Each piece alone, so that the other side reads it alone too.
        const end = Math.min(at + pieceLength, whole.length);
        socket.write(whole.subarray(at, end));
        if (pieceLength >= 1000 || at < 200 || at > whole.length - 500) await new Promise(setImmediate);
      }
    }
    expect(await audience.settle(() => 3 * messages)).toEqual({ lost: 0, extra: 0 });
    await until(() => pongs.length === 3);
    expect(pongs).toEqual(["xxxxx", "xxxxx", "xxxxx"]);
    expect(audience.tally.pings).toBe(3);
  });

  it("does not count greetings, and is not ready before them", async () => {
    const { port, sockets } = await startRawServer();
    const audience = audienceOf(port, { greetings: 2 });
    let isReady = false;
    const opening = audience.open().then(() => {
      isReady = true;
    });
    await until(() => sockets.length === 1);
    sockets[0]?.write(frame(text, 5));
    await until(() => audience.tally.reads > 1);
    expect(isReady).toBe(false);
    sockets[0]?.write(Buffer.concat([frame(text, 5), frame(text, 5)]));
    await opening;
    sockets[0]?.write(frame(text, 5));
    await until(() => audience.tally.messages === 2);
    expect(await audience.settle(() => 2)).toEqual({ lost: 0, extra: 0 });
  });

  it("knows who was closed, and how", async () => {
    const { port, sockets } = await startRawServer();
    const audience = audienceOf(port);
    await audience.open(3);
    const close = Buffer.from([0x88, 2, 4408 >> 8, 4408 & 255]);
    sockets[0]?.write(close);
    sockets[1]?.destroy();
    await until(() => Object.keys(audience.closes).length === 2);
    expect(audience.closes).toEqual({ 4408: 1, 1006: 1 });
  });

  it("says what is extra", async () => {
    const { port, sockets } = await startRawServer();
    const audience = audienceOf(port);
    await audience.open(2);
    for (const socket of sockets) socket.write(frame(text, 5));
    expect((await audience.settle((index) => index)).extra).toBeLessThanOrEqual(1);
    await until(() => audience.tally.messages === 2);
    expect(await audience.settle((index) => index)).toEqual({ lost: 0, extra: 1 });
  });

  it("fails to open where a server refuses", async () => {
    const { port, sockets } = await startRawServer();
    await expect(audienceOf(port, { path: "/", subprotocols: ["not a token"] }).open()).rejects.toThrow("HTTP/1.1 400");
    expect(sockets).toEqual([]);
  });
});
