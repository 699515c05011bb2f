import { describe, expect, it } from "vitest";
import {
  decodeAnswer,
  decodeRecord,
  decodeWire,
  encodeAnswer,
  encodeQuestion,
  encodeRecord,
} from "../../../src/broker/redis-wire.ts";
import { topicStream, userStream } from "../../../src/protocol/streams.ts";
import { publication } from "../../support/fake-broker.ts";

const alice = userStream("alice");
const decode = (payload: string | Buffer) => decodeWire(alice, Buffer.from(payload as string));

describe("a stored message", () => {
  const given = publication({ body: '"data":"ü\\n\n😀"}', ts: 1_700_000_000_000, expiresAtMs: 1_700_000_060_000 });
  const expected = {
    stream: alice,
    id: "u-k3f9a1-42",
    position: { epoch: "k3f9a1", offset: 42 },
    body: Buffer.from(given.body),
    ts: given.ts,
    expiresAtMs: given.expiresAtMs,
    collapse: undefined,
  };

  it("arrives as the script publishes it", () => {
    expect(decode(`m k3f9a1 42 ${encodeRecord(given)}`)).toEqual({ kind: "message", message: expected });
  });

  it("is read the same from history", () => {
    expect(decodeRecord(alice, "k3f9a1", "42", Buffer.from(encodeRecord(given)))).toEqual(expected);
  });

  it.each(["a", "a b", "  ", '"', "\n", "ü\r\n😀", "a".repeat(128), "{}"])("keeps the collapse key %j", (collapse) => {
    const record = encodeRecord({ ...given, collapse });
    expect(record.indexOf("\n")).toBe(record.length - given.body.length - 1);
    expect(decodeRecord(alice, "k3f9a1", "42", Buffer.from(record))).toEqual({ ...expected, collapse });
  });

  it("keeps bytes that are not UTF-8 as they are", () => {
    const body = Buffer.from([0xff, 0x00, 0x0a, 0xfe]);
    const record = Buffer.concat([Buffer.from("1 0\n"), body]);
    expect(decodeRecord(alice, "k3f9a1", "42", record).body).toEqual(body);
  });
});

describe("a live-only message", () => {
  it("arrives without a position", () => {
    const stream = topicStream("news");
    const wire = decodeWire(stream, Buffer.from(`l k3f9a1 7 ${encodeRecord(publication({ body: "x", ts: 5 }))}`));
    const message = { stream, id: "l-k3f9a1-7", position: undefined, ts: 5, expiresAtMs: 0, collapse: undefined };
    expect(wire).toEqual({ kind: "message", message: { ...message, body: Buffer.from("x") } });
  });
});

describe("questions and answers", () => {
  it.each([{ kind: "stats" }, null, ["\n", "ü", { a: [] }], 0, ""])("carry %j", (value) => {
    const question = { kind: "question", request: "12", replyChannel: "belfry:replica:k3f9a1", question: value };
    expect(decode(encodeQuestion("12", "belfry:replica:k3f9a1", value))).toEqual(question);
    expect(decodeAnswer(Buffer.from(encodeAnswer("12", value)))).toEqual({ request: "12", answer: value });
  });
});

describe("what is none of these", () => {
  it.each([
    ["nothing", ""],
    ["no line", "m k3f9a1 42 1 0"],
    ["an empty line", "\n{}"],
    ["an unknown kind", "x 1\n{}"],
    ["a kind in capitals", "M k3f9a1 42 1 0\n{}"],
    ["a kind with more letters", "message k3f9a1 42 1 0\n{}"],
    ["JSON", '{"to":"broadcast","data":1}\n'],
    ["a message without an offset", "m k3f9a1\n{}"],
    ["a message without times", "m k3f9a1 42\n{}"],
    ["a message without an expiry", "m k3f9a1 42 1\n{}"],
    ["an offset that is no number", "m k3f9a1 x 1 0\n{}"],
    ["an offset with a fraction", "m k3f9a1 1.5 1 0\n{}"],
    ["an offset that is not safe", "m k3f9a1 9007199254740992 1 0\n{}"],
    ["a time that is no number", "m k3f9a1 42 now 0\n{}"],
    ["an epoch that would break out of the id", 'm "} 42 1 0\n{}'],
    ["no epoch", "m  42 1 0\n{}"],
    ["a live source that would break out of the id", 'l "} 42 1 0\n{}'],
    ["a collapse key that is no JSON", "m k3f9a1 42 1 0 key\n{}"],
    ["a question that is no JSON", "q 12 channel\nwhat?"],
    ["an answer that is no JSON", "a 12\n"],
  ])("is refused: %s", (_, payload) => {
    expect(() => decode(payload)).toThrow(Error);
  });

  it("is refused: bytes of any kind", () => {
    expect(() => decode(Buffer.from([0xff, 0xfe, 0x0a, 0x00]))).toThrow(Error);
  });
});
