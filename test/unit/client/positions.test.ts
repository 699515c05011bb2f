import { describe, expect, it } from "vitest";
import { Positions } from "../../../src/client/positions.ts";

function storage(initial: Record<string, string> = {}) {
  const kept = new Map(Object.entries(initial));
  return {
    kept,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
}

describe("positions", () => {
  it("know a message that was there before by its offset, within one epoch", () => {
    const positions = new Positions(undefined, "");
    positions.set("u", "u-e1-5");
    expect(positions.advance("u", "u-e1-5")).toBe(false);
    expect(positions.advance("u", "u-e1-4")).toBe(false);
    expect(positions.advance("u", "u-e1-7")).toBe(true);
    expect(positions.advance("u", "u-e1-6")).toBe(false);
    expect(positions.advance("u", "u-e2-1")).toBe(true);
    expect(positions.get("u")).toBe("u-e2-1");
  });

  it("take every live-only message as new, and stay where they are", () => {
    const positions = new Positions(undefined, "");
    positions.set("b", "b-e1-5");
    expect(positions.advance("b", "l-e1-1")).toBe(true);
    expect(positions.advance("b", "l-e1-1")).toBe(true);
    expect(positions.get("b")).toBe("b-e1-5");
  });

  it("are read from a storage and kept in it", () => {
    const shared = storage();
    new Positions(shared, "key").set("t:news", "t-e1-1");
    const later = new Positions(shared, "key");
    expect(later.get("t:news")).toBe("t-e1-1");
    later.delete("t:news");
    expect(new Positions(shared, "key").get("t:news")).toBeUndefined();
    expect(new Positions(shared, "other").get("t:news")).toBeUndefined();
  });

  it.each(["", "{", "7", "null", '{"a":1}', '[["b","nonsense"],[1,2],["u"]]'])(
    "begin empty where the storage holds %j",
    (text) => {
      const positions = new Positions(storage({ key: text }), "key");
      expect([positions.get("b"), positions.get("u")]).toEqual([undefined, undefined]);
    },
  );

  it("go on when the storage is full", () => {
    const full = {
      getItem: () => null,
      setItem: () => {
        throw new Error("quota");
      },
    };
    const positions = new Positions(full, "key");
    positions.set("b", "b-e1-1");
    expect(positions.get("b")).toBe("b-e1-1");
  });

  it("forget the longest unused of more than 512 streams", () => {
    const positions = new Positions(undefined, "");
    for (let n = 0; n < 512; n++) positions.set(`t:${n}`, "t-e1-1");
    positions.set("t:0", "t-e1-2");
    positions.set("t:new", "t-e1-1");
    expect([positions.get("t:0"), positions.get("t:1"), positions.get("t:2")]).toEqual(["t-e1-2", undefined, "t-e1-1"]);
  });
});
