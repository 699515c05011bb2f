import { once } from "node:events";
import { createRequire } from "node:module";
import type { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import type { Message } from "../../../src/broker/broker.ts";
import { type ErrorFrame, frameError } from "../../../src/protocol/frames.ts";
import { userStream } from "../../../src/protocol/streams.ts";
import { jsonFrame, messageFrames } from "../../../src/ws/frame.ts";
import { liveMessage } from "../../support/fake-broker.ts";

// The part of ws that reads frames; its types leave it out.
const { Receiver } = createRequire(import.meta.url)("ws") as {
  Receiver: new (options: { isServer: boolean }) => Writable;
};

/** What a client reads, and how many bytes stand before the payload. */
async function read(frame: Buffer): Promise<{ text: string; isBinary: boolean }> {
  const receiver = new Receiver({ isServer: false });
  const received = once(receiver, "message");
  receiver.write(frame);
  const [data, isBinary] = (await received) as [Buffer, boolean];
  return { text: String(data), isBinary };
}

/** A frame whose JSON has the given number of bytes. */
function frameOf(bytes: number): ErrorFrame {
  const empty = frameError("failed", "");
  return { ...empty, detail: "x".repeat(bytes - JSON.stringify(empty).length) };
}

describe("jsonFrame", () => {
  it.each([
    [45, 2],
    [125, 2],
    [126, 4],
    [127, 4],
    [65535, 4],
    [65536, 10],
    [1_000_000, 10],
  ])("writes %i bytes behind a header of %i", async (bytes, header) => {
    const frame = jsonFrame(frameOf(bytes));
    expect(frame.length).toBe(header + bytes);
    expect(await read(frame)).toEqual({ text: JSON.stringify(frameOf(bytes)), isBinary: false });
  });

  it("counts bytes, not characters", async () => {
    const frame = frameError("failed", "ü😀".repeat(30));
    expect(await read(jsonFrame(frame))).toMatchObject({ text: JSON.stringify(frame) });
  });
});

describe("messageFrames", () => {
  const messageWith = (body: Buffer): Message => ({ ...liveMessage(userStream("alice")), id: "u-k3f9a1-42", body });
  const head = '{"type":"message","id":"u-k3f9a1-42",';

  it.each([125, 126, 65535, 65536])("writes a payload of %i bytes", async (bytes) => {
    const body = Buffer.from(`"data":"${"x".repeat(bytes - head.length - 10)}"}`);
    const { text, isBinary } = await read(messageFrames([messageWith(body)]));
    expect([Buffer.byteLength(text), isBinary]).toEqual([bytes, false]);
    expect(text).toBe(head + body);
    expect(JSON.parse(text)).toMatchObject({ type: "message", id: "u-k3f9a1-42" });
  });

  it("leaves the body's bytes as they are", async () => {
    const body = Buffer.from('"data":{"ü":-0.0,"a":[ 1e400 ]}}');
    expect((await read(messageFrames([messageWith(body)]))).text).toBe(head + body);
  });

  it("writes several messages one after the other", async () => {
    const bodies = [10, 200, 70_000].map((bytes) => Buffer.from(`"data":"${"x".repeat(bytes)}"}`));
    const receiver = new Receiver({ isServer: false });
    const texts: string[] = [];
    receiver.on("message", (data: Buffer) => texts.push(String(data)));
    receiver.write(messageFrames(bodies.map(messageWith)));
    while (texts.length < bodies.length) await new Promise(setImmediate);
    expect(texts).toEqual(bodies.map((body) => head + body));
  });
});
