import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { BelfryError, type InvalidInput } from "../../../src/errors.ts";
import { addressedMessageSchema, batchSchema, messageSchema, streamOf, validate } from "../../../src/http/schemas.ts";

/** What is wrong with a value. */
function wrong(schema: z.ZodType, value: unknown): readonly InvalidInput[] {
  try {
    validate(schema, value, "the body");
  } catch (error) {
    if (error instanceof BelfryError && error.code === "invalid") return error.errors ?? [];
    throw error;
  }
  return [];
}

describe("messageSchema", () => {
  it.each([null, 0, "", false, [], {}, { deep: [{}] }])("takes %j as data", (data) => {
    expect(wrong(messageSchema, { data })).toEqual([]);
  });

  it("takes everything that a message may have", () => {
    const message = { data: 1, event: "😀".repeat(128), ttl: 0, collapse: "c" };
    expect(validate(messageSchema, message, "the body")).toEqual(message);
    expect(wrong(messageSchema, { data: 1, ttl: 0.5 })).toEqual([]);
  });

  it("says that data is missing", () => {
    expect(wrong(messageSchema, {})).toEqual([{ path: "data", message: "required" }]);
  });

  it.each([
    ["event", { event: "" }],
    ["event", { event: "x".repeat(129) }],
    ["event", { event: "\ud83d" }],
    ["event", { event: null }],
    ["ttl", { ttl: -1 }],
    ["ttl", { ttl: 365 * 86400 + 1 }],
    ["ttl", { ttl: "60" }],
    ["ttl", { ttl: Number.POSITIVE_INFINITY }],
    ["collapse", { collapse: "" }],
    ["collapse", { collapse: 1 }],
  ])("names %s as wrong", (path, members) => {
    expect(wrong(messageSchema, { data: 1, ...members }).map((one) => one.path)).toEqual([path]);
  });

  it("names each member that it does not know, so that a typing error is no silent one", () => {
    expect(wrong(messageSchema, { data: 1, tll: 5, colapse: "x" })).toEqual([
      { path: "tll", message: "unknown member" },
      { path: "colapse", message: "unknown member" },
    ]);
  });

  it.each([null, [], "text", 1, undefined])("is not %j", (value) => {
    expect(wrong(messageSchema, value).map((one) => one.path)).toEqual([""]);
  });
});

describe("addressedMessageSchema", () => {
  it.each([
    ["broadcast", { scope: "broadcast", name: "", key: "b" }],
    [{ user: "alice" }, { scope: "user", name: "alice", key: "u:alice" }],
    [{ topic: "news" }, { scope: "topic", name: "news", key: "t:news" }],
  ])("goes to %j", (to, stream) => {
    expect(streamOf(validate(addressedMessageSchema, { to, data: 1 }, "the message").to)).toEqual(stream);
  });

  it.each([undefined, null, "everyone", {}, { user: "" }, { user: "a", topic: "b" }, { user: ["a"] }, ["broadcast"]])(
    "does not go to %j",
    (to) => {
      const paths = wrong(addressedMessageSchema, { to, data: 1 }).map(({ path }) => path.split(".")[0]);
      expect(new Set(paths)).toEqual(new Set(["to"]));
    },
  );
});

describe("batchSchema", () => {
  const message = { to: "broadcast", data: 1 };

  it("takes up to 1,000 messages", () => {
    expect(wrong(batchSchema, { messages: [] })).toEqual([]);
    expect(wrong(batchSchema, { messages: Array(1000).fill(message) })).toEqual([]);
    expect(wrong(batchSchema, { messages: Array(1001).fill(message) }).map(({ path }) => path)).toEqual(["messages"]);
  });
});

describe("a name", () => {
  it("has its characters counted as users do", () => {
    expect(wrong(messageSchema, { data: 1, event: "😀".repeat(128) })).toEqual([]);
    expect(wrong(messageSchema, { data: 1, event: "😀".repeat(129) })).toEqual([
      { path: "event", message: "expected 1 to 128 characters" },
    ]);
  });
});
