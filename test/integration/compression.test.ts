import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { constants, deflateRawSync } from "node:zlib";
import { expect, it, onTestFinished } from "vitest";
import { startService } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const compressing = { compression: true };
const large = { text: "all that is said, is said again. ".repeat(40) };

/** Asks for a WebSocket and reads what comes, as bytes. */
async function handshake(port: number, extensions: string, path = "/ws") {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const lines = [
    `GET ${path} HTTP/1.1`,
    "Host: a",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    "Sec-WebSocket-Protocol: raw",
    ...(extensions ? [`Sec-WebSocket-Extensions: ${extensions}`] : []),
  ];
  let bytes = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
  });
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const read = async (count: number) => {
    while (bytes.length < count) await once(socket, "data");
    const taken = bytes.subarray(0, count);
    bytes = bytes.subarray(count);
    return taken;
  };
  const readHead = async () => {
    while (!bytes.includes("\r\n\r\n")) await once(socket, "data");
    return String(await read(bytes.indexOf("\r\n\r\n") + 4));
  };
  return { socket, head: await readHead(), frame: () => readFrame(read) };
}

async function readFrame(read: (count: number) => Promise<Buffer>) {
  const [first = 0, second = 0] = await read(2);
  const length = second === 126 ? (await read(2)).readUInt16BE() : second;
  return { isCompressed: (first & 0x40) !== 0, payload: await read(length) };
}

/** A masked, compressed text frame with the given DEFLATE data. */
function writeCompressed(socket: Socket, deflated: Buffer): void {
  const header = Buffer.from([0xc1, 0x80 | 126, 0, 0, 0, 0, 0, 0]);
  header.writeUInt16BE(deflated.length, 2);
  socket.write(Buffer.concat([header, deflated]));
}

it("compresses for those who offer it what is large enough, and says the same to all", async () => {
  const { belfry, port } = await startService(compressing);
  const { head, frame } = await handshake(port, "permessage-deflate; client_max_window_bits");
  expect(head).toContain(
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n",
  );
  const offering = await TestClient.welcomed(port, "alice");
  const plain = await TestClient.welcomed(port, "bob", { perMessageDeflate: false });
  expect([offering.ws.extensions, plain.ws.extensions]).toEqual(["permessage-deflate", ""]);

  await belfry.hub.broadcast(large);
  await belfry.hub.broadcast("small");
  await belfry.hub.broadcast(large);
  const texts = [await offering.nextText(), await offering.nextText(), await offering.nextText()];
  expect([await plain.nextText(), await plain.nextText(), await plain.nextText()]).toEqual(texts);
  expect(texts.map((text) => JSON.parse(text).data)).toEqual([large, "small", large]);

  const [welcome, first, second, third] = [await frame(), await frame(), await frame(), await frame()];
  expect([welcome, first, second, third].map(({ isCompressed }) => isCompressed)).toEqual([false, true, false, true]);
  expect(first.payload.length).toBeLessThan((texts[0]?.length ?? 0) / 4);
});

it("compresses what a client missed too", async () => {
  const { belfry, port } = await startService(compressing);
  const { welcome } = await TestClient.welcomed(port, "alice");
  const sent = await Promise.all(Array.from({ length: 250 }, (_, n) => belfry.hub.broadcast({ n, ...large })));
  const { broadcast } = welcome["positions"] as { broadcast: string };
  const { frame } = await handshake(port, "permessage-deflate", `/ws?since=${broadcast}`);
  await frame();
  for (const _ of sent) expect(await frame()).toMatchObject({ isCompressed: true });
});

it.each([
  ["with an offer that cannot be shared", compressing, "permessage-deflate; server_max_window_bits=9"],
  ["with an unknown extension", compressing, "permessage-bzip2; level=11"],
  ["with what is no list of extensions", compressing, "=;=,,"],
  ["when it is switched off", {}, "permessage-deflate"],
])("lets clients in uncompressed %s", async (_, options, extensions) => {
  const { belfry, port } = await startService(options);
  const { head, frame } = await handshake(port, extensions);
  expect(head).toMatch(/^HTTP\/1.1 101 /);
  expect(head).not.toContain("Sec-WebSocket-Extensions");
  await frame();
  await belfry.hub.broadcast(large);
  expect(await frame()).toMatchObject({ isCompressed: false });
});

it("reads compressed frames of clients", async () => {
  const received: unknown[] = [];
  const { port } = await startService({ ...compressing, onMessage: ({ data }) => void received.push(data) });
  const { ws } = await TestClient.welcomed(port, "alice", { perMessageDeflate: { threshold: 0 } });
  for (const data of ["one", large, "three"]) ws.send(JSON.stringify({ type: "message", data }));
  await expect.poll(() => received).toEqual(["one", large, "three"]);
});

it("closes with 1009 when a small frame becomes larger than MAX_PAYLOAD_BYTES", async () => {
  const { port, metric } = await startService({ ...compressing, maxPayloadBytes: 10_000 });
  const { socket, frame } = await handshake(port, "permessage-deflate");
  await frame();
  const bomb = deflateRawSync(Buffer.alloc(1_000_000, " "), { finishFlush: constants.Z_SYNC_FLUSH });
  writeCompressed(socket, bomb.subarray(0, -4));
  expect((await frame()).payload.readUInt16BE()).toBe(1009);
  await expect.poll(() => metric('belfry_dropped_connections_total{reason="protocol_error"}')).toBe(1);
});

it("closes with 1002 when a client compresses without having agreed", async () => {
  const { port } = await startService(compressing);
  const { socket, frame } = await handshake(port, "");
  await frame();
  writeCompressed(socket, Buffer.alloc(200));
  expect((await frame()).payload.readUInt16BE()).toBe(1002);
});
