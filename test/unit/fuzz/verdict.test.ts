import { createHash } from "node:crypto";
import { deflateRawSync, constants as zlib } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Case } from "../../../fuzz/case.ts";
import { writeFrame } from "../../../fuzz/client-frame.ts";
import { judge } from "../../../fuzz/verdict.ts";
import { hush } from "../../support/secrets.ts";

const key = "dGhlIHNhbXBsZSBub25jZQ==";
const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
const handshake = `GET /ws HTTP/1.1\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: belfry.v1, alice\r\n\r\n`;

function verdict(received: string | Buffer, sent = handshake) {
  const input: Case = {
    kind: "api",
    name: "good",
    chunks: [Buffer.from(sent)],
    isUpgradeAwaited: false,
    ending: "listen",
    isAnswered: true,
  };
  return judge(input, Buffer.from(received));
}

function answer(status: number | string, body: unknown, headers = "", type = "application/problem+json"): string {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return `HTTP/1.1 ${status} Some Words\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(text)}\r\n${headers}\r\n${text}`;
}

const problem = (status: number, more = {}) => ({
  type: "urn:belfry:error:x",
  title: "X",
  status,
  detail: "x",
  ...more,
});
const good = { type: "welcome" };
const text = (value: unknown) => writeFrame({ opcode: 1, payload: Buffer.from(JSON.stringify(value)) });
const close = (code: number) => writeFrame({ opcode: 8, payload: Buffer.from([code >> 8, code & 0xff]) });
const accepted = (frames: Buffer[], headers = "", protocol = "belfry.v1") =>
  Buffer.concat([
    Buffer.from(
      `HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n${headers}\r\n`,
    ),
    ...frames,
  ]);

describe("the verdict on answers", () => {
  it("finds nothing in what the service says when all is well", () => {
    const both = answer(200, {}, "", "application/json") + answer(400, problem(400));
    expect(verdict(both)).toEqual({ answers: ["200", "400"], fault: undefined });
    const stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ne\r\n: ping";
    expect(verdict(both + stream)).toEqual({ answers: ["200", "400", "200"], fault: undefined });
    expect(verdict("")).toEqual({ answers: [], fault: undefined });
    expect(verdict(answer(404, problem(404)).slice(0, 60)).fault).toBeUndefined();
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    expect(verdict(head + head, "HEAD / HTTP/1.1\r\n\r\n")).toEqual({ answers: ["200", "200"], fault: undefined });
  });

  it.each([
    ["a 500", answer(500, problem(500))],
    ["a status that no page knows", answer(418, problem(418))],
    ["an error in HTML", answer(400, "<html>", "", "text/html")],
    ["a problem of another status", answer(400, problem(404))],
    ["a problem without its type", answer(400, problem(400, { type: "about:blank" }))],
    ["a problem without words", answer(400, problem(400, { detail: undefined }))],
    ["422 without what is wrong", answer(422, problem(422))],
    ["a stack", answer(400, problem(400, { detail: "Error at f (src/x.ts:1:2)" }))],
    ["405 without Allow", answer(405, problem(405))],
    ["a secret", answer(400, problem(400, { detail: hush("all") }))],
    ["an answer that is no JSON", answer(200, "{", "", "application/json")],
    ["no status line", "HTTP/1.1 OK\r\n\r\n"],
    ["no HTTP", "hello"],
    ["a header field without a colon", "HTTP/1.1 200 OK\r\nx\r\n\r\n"],
    ["two lengths", answer(200, {}, "Content-Length: 2\r\n")],
    ["nothing that says how long it is", "HTTP/1.1 200 OK\r\n\r\n"],
    ["bytes behind an answer", `${answer(404, problem(404))}x`],
  ])("finds %s", (_, received) => {
    expect(verdict(received).fault).toEqual(expect.any(String));
  });
});

describe("the verdict on frames", () => {
  const deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
  const compressed = deflateRawSync('{"type":"message"}', { finishFlush: zlib.Z_SYNC_FLUSH }).subarray(0, -4);

  it("finds nothing in what the service says when all is well", () => {
    const error = { type: "error", code: "malformed", detail: "x" };
    const frames = [text(good), text(error), writeFrame({ opcode: 10, payload: Buffer.from("p") }), close(1002)];
    expect(verdict(accepted(frames))).toEqual({ answers: ["101", "close 1002"], fault: undefined });
    expect(verdict(accepted([close(4401)])).fault).toBeUndefined();
    const packed = writeFrame({ opcode: 1, rsv: 4, payload: compressed });
    expect(verdict(accepted([text(good), packed], deflate)).fault).toBeUndefined();
    expect(verdict(accepted([text(good).subarray(0, 9)])).fault).toBeUndefined();
  });

  it.each([
    ["a message before the welcome", [text({ type: "message" })]],
    ["two welcomes", [text(good), text(good)]],
    ["a frame that nobody knows", [text(good), text({ type: "x" })]],
    ["a text that is no JSON", [text(good), writeFrame({ opcode: 1, payload: Buffer.from("{") })]],
    ["invalid UTF-8", [text(good), writeFrame({ opcode: 1, payload: Buffer.from([0xff]) })]],
    ["a fragment", [text(good), writeFrame({ opcode: 1, fin: false, payload: Buffer.from("{}") })]],
    ["RSV1 without the extension", [text(good), writeFrame({ opcode: 1, rsv: 4, payload: compressed })]],
    ["a mask", [writeFrame({ opcode: 1, mask: Buffer.alloc(4), payload: Buffer.from('{"type":"welcome"}') })]],
    ["a length in too many bytes", [writeFrame({ opcode: 9, lengthBytes: 2, payload: Buffer.from("x") })]],
    ["a binary frame", [text(good), writeFrame({ opcode: 2, payload: Buffer.from("{}") })]],
    ["a frame behind the close frame", [text(good), close(1000), text({ type: "message" })]],
    ["a close code that must not be sent", [text(good), close(999)]],
    ["1011 before the welcome", [close(1011)]],
  ])("finds %s", (_, frames) => {
    expect(verdict(accepted(frames)).fault).toEqual(expect.any(String));
  });

  it("finds a handshake that is answered wrongly", () => {
    expect(verdict(accepted([text(good)], "", "bob")).fault).toContain("bob");
    expect(verdict(accepted([text(good)], "", "alice")).fault).toBe("the flag came back");
    expect(verdict(accepted([text(good)]), handshake.replace(key, "another")).fault).toContain("Accept");
  });
});
