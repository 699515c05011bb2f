import { describe, expect, it } from "vitest";
import { BelfryError } from "../../../src/errors.ts";
import { type MessageDraft, maxTtlSeconds, toJson, toPublication } from "../../../src/hub/messages.ts";
import { broadcastStream, type Stream, topicStream, userStream } from "../../../src/protocol/streams.ts";

const ts = 1_700_000_000_000;
const write = (draft: MessageDraft, stream: Stream = broadcastStream, maxBytes = 1000) =>
  toPublication(stream, draft, maxBytes, ts);

/** The frame that clients get, as they read it. */
const frame = (body: string) => JSON.parse(`{"id":"x",${body}`);

function refusal(work: () => unknown): BelfryError {
  try {
    work();
  } catch (error) {
    if (error instanceof BelfryError) return error;
  }
  throw new Error("was not refused");
}

describe("toPublication", () => {
  it.each([
    [broadcastStream, { scope: "broadcast" }],
    [userStream("alice"), { scope: "user" }],
    [topicStream('a "topic"\n'), { scope: "topic", topic: 'a "topic"\n' }],
  ])("writes what the clients get: $scope", (stream, members) => {
    expect(frame(write({ json: '{"n":1}' }, stream).body)).toEqual({ id: "x", ...members, data: { n: 1 }, ts });
    expect(frame(write({ json: "null", event: '"ü"' }, stream).body)).toMatchObject({ event: '"ü"', data: null });
  });

  it("does not tell a user's other connections whose message it is beyond the scope", () => {
    expect(write({ json: "1" }, userStream("alice")).body).not.toContain("alice");
  });

  it("leaves the data as it was written", () => {
    for (const json of ["-0.0", "1e400", "12345678901234567890", '{"b":1,"a":2,"b":3}', '"\\u00fc"', "[ 1 ]"]) {
      expect(write({ json }).body).toContain(`"data":${json},`);
    }
  });

  it.each([
    [undefined, { live: false, expiresAtMs: 0 }],
    [0, { live: true, expiresAtMs: 0 }],
    [60, { live: false, expiresAtMs: ts + 60_000 }],
    [0.0001, { live: false, expiresAtMs: ts + 1 }],
    [maxTtlSeconds, { live: false, expiresAtMs: ts + maxTtlSeconds * 1000 }],
  ])("takes a ttl of %s seconds", (ttl, expected) => {
    expect(write({ json: "1", ttl })).toMatchObject({ ...expected, ts });
  });

  it("passes the collapse key on and keeps it out of what clients get", () => {
    const { body, collapse } = write({ json: "1", collapse: "score" });
    expect(collapse).toBe("score");
    expect(body).not.toContain("score");
  });

  it("names everything that is wrong at once", () => {
    const error = refusal(() =>
      write({ json: "1", event: "", collapse: "x".repeat(129), ttl: -1 }, topicStream("\ud83d")),
    );
    expect(error.code).toBe("invalid");
    expect(error.errors?.map(({ path }) => path)).toEqual(["event", "collapse", "ttl", "topic"]);
  });

  it.each([-1, maxTtlSeconds + 1, Number.NaN, Number.POSITIVE_INFINITY])("refuses a ttl of %s", (ttl) => {
    expect(refusal(() => write({ json: "1", ttl })).errors?.map(({ path }) => path)).toEqual(["ttl"]);
  });

  it.each([userStream(""), topicStream(""), userStream("x".repeat(129))])(
    "refuses a stream without a legal name",
    (stream) => {
      expect(refusal(() => write({ json: "1" }, stream)).errors?.map(({ path }) => path)).toEqual([stream.scope]);
    },
  );

  it("measures data in bytes of UTF-8, and takes as many as allowed", () => {
    const fits = `"${"ü".repeat(4)}"`;
    expect(write({ json: fits }, broadcastStream, 10).body).toContain(fits);
    expect(refusal(() => write({ json: fits }, broadcastStream, 9)).code).toBe("too_large");
    expect(refusal(() => write({ json: '"😀"' }, broadcastStream, 5)).code).toBe("too_large");
    expect(refusal(() => write({ json: "1".repeat(11) }, broadcastStream, 10)).code).toBe("too_large");
  });
});

describe("toJson", () => {
  it.each([null, 0, "", false, [], { a: [1] }, new Date(0)])("writes %j", (data) => {
    expect(toJson(data)).toBe(JSON.stringify(data));
  });

  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  it.each([
    ["undefined", undefined],
    ["a function", () => {}],
    ["a symbol", Symbol("s")],
    ["a BigInt", 1n],
    ["a cycle", cycle],
  ])("refuses %s", (_, data) => {
    const error = refusal(() => toJson(data));
    expect(error.code).toBe("invalid");
    expect(error.errors?.map(({ path }) => path)).toEqual(["data"]);
  });
});
