import { describe, expect, it } from "vitest";
import { TokenBucket } from "../../src/token-bucket.ts";

describe("TokenBucket", () => {
  it("lets a second's worth through at once, then says how long to wait", () => {
    const bucket = new TokenBucket(4, 1000);
    expect([1, 2, 3, 4].map(() => bucket.take(1000))).toEqual([0, 0, 0, 0]);
    expect(bucket.take(1000)).toBe(250);
    expect(bucket.take(1100)).toBe(150);
    expect(bucket.take(1250)).toBe(0);
    expect(bucket.take(1250)).toBe(250);
  });

  it("takes nothing when it refuses", () => {
    const bucket = new TokenBucket(1, 0);
    bucket.take(0);
    for (let i = 0; i < 10; i++) expect(bucket.take(500)).toBe(500);
    expect(bucket.take(1000)).toBe(0);
  });

  it("holds no more than a second's worth after a pause", () => {
    const bucket = new TokenBucket(2, 0);
    expect([0, 0, 0].map(() => bucket.take(60_000))).toEqual([0, 0, 500]);
  });

  it("lets a rate through that stays at the limit", () => {
    const bucket = new TokenBucket(50, 0);
    for (let ms = 0; ms < 10_000; ms += 20) expect(bucket.take(ms)).toBe(0);
  });

  it("takes many tokens at once, or none of them", () => {
    const bucket = new TokenBucket(10, 0);
    expect(bucket.take(0, 8)).toBe(0);
    expect(bucket.take(0, 3)).toBe(100);
    expect(bucket.take(0, 2)).toBe(0);
  });

  it("lets more than a second's worth through when it is full, and pays it off", () => {
    const bucket = new TokenBucket(10, 0);
    expect(bucket.take(0, 1)).toBe(0);
    expect(bucket.take(0, 100)).toBe(100);
    expect(bucket.take(100, 100)).toBe(0);
    expect(bucket.take(100, 1)).toBe(9100);
    expect(bucket.take(9200, 1)).toBe(0);
  });
});
