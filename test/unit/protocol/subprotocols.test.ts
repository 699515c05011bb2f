import { describe, expect, it } from "vitest";
import { parseOffer } from "../../../src/protocol/subprotocols.ts";

describe("parseOffer", () => {
  it.each([
    ["alice", "alice", "alice"],
    ["belfry.v1, alice", "alice", "belfry.v1"],
    ["alice, belfry.v1", "alice", "belfry.v1"],
    ["alice,belfry.v1", "alice", "belfry.v1"],
    [" \talice\t ,\tbelfry.v1 ", "alice", "belfry.v1"],
    ["belfry.v1", undefined, "belfry.v1"],
    [undefined, undefined, undefined],
    ["u.YWxpY2U", "u.YWxpY2U", "u.YWxpY2U"],
    ["Belfry.v1", "Belfry.v1", "Belfry.v1"],
    ["a.b.c-_", "a.b.c-_", "a.b.c-_"],
  ])("of %j takes the flag %s and selects %s", (header, flag, selected) => {
    expect(parseOffer(header)).toEqual({ flag, selected });
  });

  it.each([
    ["nothing", "", "not a token"],
    ["an empty entry", "alice,,belfry.v1", "not a token"],
    ["a comma at the end", "alice,", "not a token"],
    ["an e-mail address", "alice@example.com", "not a token"],
    ["a space inside", "alice smith", "not a token"],
    ["a quoted text", '"alice"', "not a token"],
    ["non-ASCII", "Zoë", "not a token"],
    ["a no-break space around", "\u00a0alice", "not a token"],
    ["two flags", "alice, bob", "more than one"],
    ["two flags and belfry.v1", "alice, belfry.v1, bob", "more than one"],
    ["the same flag twice", "alice, alice", "more than one"],
    ["belfry.v1 twice", "belfry.v1, belfry.v1", "twice"],
    ["belfry.v1 twice and a flag", "belfry.v1, alice, belfry.v1", "twice"],
  ])("says what is wrong with %s", (_, header, reason) => {
    expect(parseOffer(header)).toContain(reason);
  });

  it("does not repeat the credential in what it says", () => {
    expect(parseOffer("s3cret-one, s3cret-two")).not.toContain("s3cret");
    expect(parseOffer("s3cret@one")).not.toContain("s3cret");
  });
});
