import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frameError, parseClientFrame } from "../../src/protocol/frames.ts";
import { formatId, formatLiveId, parseId } from "../../src/protocol/positions.ts";
import { parseOffer } from "../../src/protocol/subprotocols.ts";
import { decodeFlag, encodeFlag, isName, tokenPattern } from "../../src/protocol/user-ids.ts";

/** Any legal id: 1 to 128 code points, tokens and ids that look encoded among them. */
const name = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 128 }).filter(isName),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter(isName),
  fc.stringMatching(/^u\.[A-Za-z0-9_-]{0,20}$/),
  fc.stringMatching(/^[a-zA-Z0-9.]{1,20}$/),
);
const scope = fc.constantFrom("broadcast", "user", "topic");
const epoch = fc.stringMatching(/^[0-9a-z]{1,32}$/);
const frameText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.json(),
  fc
    .record(
      {
        type: fc.oneof(fc.constantFrom("ack", "subscribe", "unsubscribe", "reply", "message", "auth"), fc.string()),
        id: fc.anything(),
        topic: fc.oneof(name, fc.anything()),
        data: fc.anything(),
        ref: fc.anything(),
        token: fc.anything(),
        since: fc.anything(),
        event: fc.anything(),
      },
      { requiredKeys: [] },
    )
    .map((frame) => {
      try {
        return JSON.stringify(frame);
      } catch {
        return "{";
      }
    }),
);

describe("flags", () => {
  it("carry any legal id through a handshake", () => {
    fc.assert(
      fc.property(name, fc.boolean(), (user, first) => {
        const flag = encodeFlag(user);
        expect(flag).toMatch(tokenPattern);
        expect(decodeFlag(flag)).toBe(user);
        expect(parseOffer(flag)).toEqual({ flag, selected: flag });
        const header = first ? `belfry.v1, ${flag}` : `${flag},belfry.v1`;
        expect(parseOffer(header)).toEqual({ flag, selected: "belfry.v1" });
      }),
      { numRuns: 1000 },
    );
  });

  it("are the only way to write an encoded id", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^u\.[A-Za-z0-9_-]{1,12}$/), (flag) => {
        const user = decodeFlag(flag);
        if (user === flag) return;
        expect(`u.${Buffer.from(user).toString("base64url")}`).toBe(flag);
      }),
      { numRuns: 1000 },
    );
  });

  it("are read whatever a client offers", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (header) => {
        const offer = parseOffer(header);
        if (typeof offer === "string") return;
        expect(header).toContain(offer.selected);
        expect(decodeFlag(offer.flag ?? "x").length).toBeGreaterThan(0);
      }),
    );
  });
});

describe("ids", () => {
  it("are read as they were written", () => {
    fc.assert(
      fc.property(scope, epoch, fc.maxSafeNat(), (where, life, offset) => {
        const id = formatId(where, { epoch: life, offset });
        expect(parseId(id)).toEqual({ scope: where, epoch: life, offset });
        expect(parseId(formatLiveId(life, offset))).toBeUndefined();
      }),
    );
  });

  it("have one spelling", () => {
    const near = fc.stringMatching(/^[butl]-[0-9a-z]{1,3}-[0-9]{1,17}$/);
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (text) => {
        const position = parseId(text);
        if (position) expect(formatId(position.scope, position)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("parseClientFrame", () => {
  it("answers any text with a frame or an error that can be sent", () => {
    fc.assert(
      fc.property(frameText, (text) => {
        const frame = parseClientFrame(text);
        if (frame.type !== "error") {
          expect(JSON.parse(text)).toMatchObject({ type: frame.type });
          if (frame.type === "subscribe" || frame.type === "unsubscribe") expect(isName(frame.topic)).toBe(true);
        }
        const answer = frame.type === "error" ? frame : frameError("unsupported", "no", frame.ref);
        expect(JSON.parse(JSON.stringify(answer))).toEqual(answer);
        expect(String(answer.ref ?? "").length).toBeLessThanOrEqual(128);
      }),
      { numRuns: 2000 },
    );
  });
});
