import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { backoffMs } from "../../../src/client/backoff.ts";
import type { OutgoingFrame } from "../../../src/client/frames.ts";
import { Pacer } from "../../../src/client/pacer.ts";
import { expiryMsOf } from "../../../src/client/token.ts";

describe("the pause before another try", () => {
  it("is a random part of a window that doubles up to 30 s", () => {
    expect([0, 1, 2, 5, 6, 7, 100].map((failures) => backoffMs(failures, 1))).toEqual([
      500, 1000, 2000, 16_000, 30_000, 30_000, 30_000,
    ]);
    expect(backoffMs(3, 0)).toBe(0);
    for (let n = 0; n < 100; n++) expect(backoffMs(1)).toBeLessThan(1000);
  });
});

describe("the expiry of a token", () => {
  const tokenOf = (payload: unknown) => `h.${Buffer.from(JSON.stringify(payload)).toString("base64url")}.s`;

  it("is read from its payload", () => {
    expect(expiryMsOf(tokenOf({ exp: 1_790_000_000, name: "ÿþ~?" }))).toBe(1_790_000_000_000);
  });

  it.each(["", "a.b.c", "no token", tokenOf({}), tokenOf({ exp: "soon" }), tokenOf(null)])(
    "is unknown of %j",
    (token) => {
      expect(expiryMsOf(token)).toBeUndefined();
    },
  );
});

describe("the pacer", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const frame = (n: number): OutgoingFrame => ({ type: "unsubscribe", topic: String(n) });

  it("sends at once as long as the service takes it, and the rest in the next seconds, in order", () => {
    const sent: OutgoingFrame[] = [];
    const pacer = new Pacer((one) => void sent.push(one));
    for (let n = 0; n < 100; n++) pacer.send(frame(n));
    expect(sent).toHaveLength(40);
    vi.advanceTimersByTime(1000);
    expect(sent).toHaveLength(80);
    vi.advanceTimersByTime(1000);
    expect(sent).toEqual(Array.from({ length: 100 }, (_, n) => frame(n)));
  });

  it("takes no more than it could send in half a minute, and forgets what it is told to", () => {
    const sent: OutgoingFrame[] = [];
    const pacer = new Pacer((one) => void sent.push(one));
    for (let n = 0; n < 1040; n++) pacer.send(frame(n));
    expect(() => pacer.send(frame(0))).toThrow(RangeError);
    pacer.clear();
    vi.advanceTimersByTime(10_000);
    expect(sent).toHaveLength(40);
  });
});
