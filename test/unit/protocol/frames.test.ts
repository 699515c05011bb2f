import { describe, expect, it } from "vitest";
import { frameError, frameText, parseClientFrame } from "../../../src/protocol/frames.ts";

const parse = (frame: unknown) => parseClientFrame(JSON.stringify(frame));

describe("parseClientFrame", () => {
  it.each([
    { type: "ack", id: "b-k3f9a1-1042" },
    { type: "subscribe", topic: "news" },
    { type: "subscribe", topic: "😀".repeat(128), since: "t-k3f9a1-1" },
    { type: "unsubscribe", topic: "news" },
    { type: "auth", token: "a.b.c" },
  ])("reads %j", (frame) => {
    expect(parse(frame)).toEqual(frame);
    expect(parse({ ...frame, ref: 7 })).toEqual({ ...frame, ref: 7 });
  });

  it("gives the data of a reply as it was written", () => {
    const json = '{"z":1e400, "a":[-0.0,12345678901234567890],"\\u0061":null}';
    const text = `{"data":0,"ref":7,"id":"r1","type":"reply","data": ${json} }`;
    expect(parseClientFrame(text)).toEqual({ type: "reply", id: "r1", json, ref: 7 });
    expect(parseClientFrame('{"type":"reply","id":"r1","data":null}')).toEqual({
      type: "reply",
      id: "r1",
      json: "null",
    });
  });

  it.each([
    { type: "message", data: 0 },
    { type: "message", data: false, event: "typed", ref: 7 },
  ])("reads %j, and keeps its text", (frame) => {
    expect(parse({ ...frame, text: "of the client's" })).toEqual({
      ...frame,
      text: JSON.stringify({ ...frame, text: "of the client's" }),
    });
  });

  it("ignores members that it does not know", () => {
    expect(parse({ type: "ack", id: "x", topic: 5, extra: {} })).toMatchObject({ type: "ack", id: "x" });
  });

  it.each([
    ["nothing", ""],
    ["a word", "hello"],
    ["half an object", '{"type":"ack"'],
    ["two objects", "{}{}"],
    ["a comma too many", '{"type":"ack","id":"x",}'],
  ])("calls %s malformed: not JSON", (_, text) => {
    expect(parseClientFrame(text)).toEqual({ type: "error", code: "malformed", detail: "the frame is not JSON" });
  });

  it.each(["null", "1", '"ack"', "true", "[]", '[{"type":"ack","id":"x"}]'])(
    "calls %s malformed: no object",
    (text) => {
      const detail = "the frame is not a JSON object";
      expect(parseClientFrame(text)).toEqual({ type: "error", code: "malformed", detail });
    },
  );

  it.each([
    ["type", {}],
    ["type", { type: 1 }],
    ["type", { type: null }],
    ["id", { type: "ack" }],
    ["id", { type: "ack", id: "" }],
    ["id", { type: "ack", id: 5 }],
    ["topic", { type: "subscribe" }],
    ["topic", { type: "subscribe", topic: "" }],
    ["topic", { type: "subscribe", topic: "a".repeat(129) }],
    ["topic", { type: "subscribe", topic: ["news"] }],
    ["topic", { type: "subscribe", topic: "\ud83d" }],
    ["since", { type: "subscribe", topic: "news", since: "" }],
    ["since", { type: "subscribe", topic: "news", since: null }],
    ["topic", { type: "unsubscribe", topic: null }],
    ["id", { type: "reply", data: 1 }],
    ["data", { type: "reply", id: "r1" }],
    ["data", { type: "message" }],
    ["event", { type: "message", event: "", data: 1 }],
    ["event", { type: "message", event: 1, data: 1 }],
    ["token", { type: "auth" }],
    ["token", { type: "auth", token: {} }],
  ])("names the member %s as wrong in %j", (member, frame) => {
    const answer = parse(frame);
    expect(answer).toMatchObject({ type: "error", code: "malformed" });
    expect(answer).toHaveProperty("detail", expect.stringMatching(`^${member}: expected `));
  });

  it.each(["hello", "", "Ack", "__proto__", "constructor", "toString", "error", "welcome"])(
    "does not know the type %j",
    (type) => {
      expect(parse({ type, id: "x" })).toMatchObject({ type: "error", code: "unknown_type" });
    },
  );

  it("takes nothing from a prototype that the frame brings along", () => {
    const frame = parseClientFrame('{"__proto__":{"type":"ack","id":"x"}}');
    expect(frame).toMatchObject({ type: "error", code: "malformed" });
  });

  it("gives the ref back in the error, also an empty text and zero", () => {
    for (const ref of ["", "r1", "a".repeat(128), 0, -1.5]) {
      expect(parse({ ref })).toMatchObject({ code: "malformed", ref });
      expect(parse({ ref, type: "hello" })).toMatchObject({ code: "unknown_type", ref });
      expect(parse({ ref, type: "ack" })).toMatchObject({ code: "malformed", ref });
    }
  });

  it("leaves a ref out that is neither a number nor a short text", () => {
    for (const ref of [null, true, {}, [], "a".repeat(129)]) {
      expect(parse({ ref, type: "hello" })).not.toHaveProperty("ref");
      expect(parse({ ref, type: "ack", id: "x" })).toEqual({ type: "ack", id: "x" });
    }
  });

  it("leaves a number out that JSON cannot give back", () => {
    expect(parseClientFrame('{"ref":1e999,"type":"hello"}')).not.toHaveProperty("ref");
  });
});

describe("frameError", () => {
  it("has a ref only when there is one", () => {
    expect(frameError("failed", "no", 0)).toEqual({ type: "error", code: "failed", detail: "no", ref: 0 });
    expect(frameError("failed", "no")).toEqual({ type: "error", code: "failed", detail: "no" });
  });
});

describe("frameText", () => {
  it("writes a request with its data as it was given", () => {
    const json = '{"z":1e400,"a":-0.0}';
    expect(frameText({ type: "request", id: "r1", event: 'said "so"', json })).toBe(
      `{"type":"request","id":"r1","event":"said \\"so\\"","data":${json}}`,
    );
    expect(frameText({ type: "request", id: "r1", json: "1" })).toBe('{"type":"request","id":"r1","data":1}');
  });

  it("writes every other frame as JSON", () => {
    const frame = frameError("failed", "no", "r");
    expect(frameText(frame)).toBe(JSON.stringify(frame));
  });
});
