import { describe, expect, it } from "vitest";
import { type CloseCause, closeCodes, maxReasonBytes } from "../../../src/protocol/close-codes.ts";

const rows = Object.entries(closeCodes);

describe("closeCodes", () => {
  it.each(rows)("%s has a code that an endpoint may send", (_, { code }) => {
    // RFC 6455 section 7.4 and the IANA registry: 1004 to 1006 and 1015 never stand in a close frame.
    const sendable = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    expect(sendable.includes(code) || (code >= 4000 && code <= 4999)).toBe(true);
  });

  it.each(rows)("%s has a reason that fits into a close frame", (_, { reason }) => {
    expect(reason.length).toBeGreaterThan(0);
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(maxReasonBytes);
  });

  it("uses no code twice", () => {
    expect(new Set(rows.map(([, { code }]) => code)).size).toBe(rows.length);
  });

  it.each([
    ["going_away", 1001, "spread"],
    ["overloaded", 1013, "back-off"],
    ["unauthorized", 4401, "authenticate"],
    ["forbidden", 4403, "stop"],
    ["slow_consumer", 4408, "resume"],
    ["replaced", 4409, "stop"],
    ["position_lost", 4410, "resume"],
    ["too_many", 4429, "back-off"],
  ] satisfies [CloseCause, number, string][])("%s is %i and asks the client to %s", (cause, code, advice) => {
    expect(closeCodes[cause]).toMatchObject({ code, advice });
  });

  it("leaves the two bytes of the code in the 125 of a control frame", () => {
    expect(maxReasonBytes).toBe(123);
  });
});
