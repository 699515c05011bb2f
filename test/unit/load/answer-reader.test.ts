import { describe, expect, it } from "vitest";
import { AnswerReader } from "../../../src/load/answer-reader.ts";

/** Reads a text in pieces of a length. */
function read(text: string, pieceLength: number): [status: number, body: string][] {
  const answers: [number, string][] = [];
  const reader = new AnswerReader((status, bytes, from, to) =>
    answers.push([status, bytes.toString("utf8", from, to)]),
  );
  for (let at = 0; at < text.length; at += pieceLength) reader.read(Buffer.from(text.slice(at, at + pieceLength)));
  return answers;
}

const pipelined =
  'HTTP/1.1 202 Accepted\r\ncontent-length: 8\r\nX: y\r\n\r\n{"id":1}' +
  "HTTP/1.1 204 No Content\r\n\r\n" +
  "HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n" +
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

describe("AnswerReader", () => {
  it.each([1, 2, 3, 7, 50, 1000])("finds answers in pieces of %d bytes", (pieceLength) => {
    const answers = read(pipelined, pieceLength);
    expect(answers.map(([status]) => status)).toEqual([202, 204, 503, 200, 200]);
    expect(answers[0]?.[1]).toBe('{"id":1}');
  });

  it("does not wait without end for the rest of an answer", () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    expect(() => read(head + "x".repeat(5_000_000), 1_000_000)).toThrow("more than");
  });

  it("names what is no HTTP", () => {
    expect(() => read("SSH-2.0-OpenSSH\r\n\r\n", 100)).toThrow("SSH-2.0");
  });
});
