import { describe, expect, it } from "vitest";
import { formatId, formatLiveId, newEpoch, parseId } from "../../../src/protocol/positions.ts";

describe("formatId and parseId", () => {
  it.each([
    ["b-k3f9a1-1042", { scope: "broadcast", epoch: "k3f9a1", offset: 1042 }],
    ["u-77ac02-17", { scope: "user", epoch: "77ac02", offset: 17 }],
    ["t-0-0", { scope: "topic", epoch: "0", offset: 0 }],
    [`b-${"z".repeat(32)}-9007199254740991`, { scope: "broadcast", epoch: "z".repeat(32), offset: 2 ** 53 - 1 }],
  ] as const)("reads and writes %s", (id, position) => {
    expect(parseId(id)).toEqual(position);
    expect(formatId(position.scope, position)).toBe(id);
  });

  it.each([
    ["nothing", ""],
    ["an unknown scope", "x-k3f9a1-1"],
    ["a scope in capitals", "B-k3f9a1-1"],
    ["no epoch", "b--1"],
    ["no offset", "b-k3f9a1-"],
    ["a missing part", "b-k3f9a1"],
    ["one part too many", "b-k3f9a1-1-1"],
    ["an epoch in capitals", "b-K3F9A1-1"],
    ["an epoch of 33 characters", `b-${"a".repeat(33)}-1`],
    ["a leading zero", "b-k3f9a1-01"],
    ["zero twice", "b-k3f9a1-00"],
    ["a sign", "b-k3f9a1-+1"],
    ["a negative offset", "b-k3f9a1--1"],
    ["a fraction", "b-k3f9a1-1.0"],
    ["an exponent", "b-k3f9a1-1e3"],
    ["the first integer that is not safe", "b-k3f9a1-9007199254740992"],
    ["17 digits", "b-k3f9a1-10000000000000000"],
    ["digits of another script", "b-k3f9a1-١"],
    ["white space before", " b-k3f9a1-1"],
    ["a line feed behind", "b-k3f9a1-1\n"],
  ])("reads no id from a text with %s", (_, id) => {
    expect(parseId(id)).toBeUndefined();
  });

  it("writes the id of a live-only message, from which nothing can be resumed", () => {
    const id = formatLiveId("k3f9a1", 7);
    expect(id).toBe("l-k3f9a1-7");
    expect(parseId(id)).toBeUndefined();
  });
});

describe("newEpoch", () => {
  it("gives epochs that fit into an id and do not repeat", () => {
    const epochs = Array.from({ length: 1000 }, newEpoch);
    expect(new Set(epochs).size).toBe(1000);
    for (const epoch of epochs) {
      expect(parseId(formatId("user", { epoch, offset: 1 }))).toEqual({ scope: "user", epoch, offset: 1 });
    }
  });
});
