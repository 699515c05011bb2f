import { describe, expect, it } from "vitest";
import { decodeFlag, encodeFlag, isName, tokenPattern } from "../../../src/protocol/user-ids.ts";

const base64url = (text: string) => Buffer.from(text).toString("base64url");

describe("isName", () => {
  it.each([
    ["one character", "a"],
    ["128 characters", "a".repeat(128)],
    ["128 characters outside the basic plane", "😀".repeat(128)],
    ["white space", " "],
    ["a control character", "\u0000"],
    ["an e-mail address", "alice@example.com"],
  ])("takes %s", (_, text) => {
    expect(isName(text)).toBe(true);
  });

  it.each([
    ["nothing", ""],
    ["129 characters", "a".repeat(129)],
    ["129 characters outside the basic plane", "😀".repeat(129)],
    ["129 characters, some outside the basic plane", `${"😀".repeat(100)}${"a".repeat(29)}`],
    ["a lone high surrogate", "a\ud83d"],
    ["a lone low surrogate", "\ude00a"],
    ["a pair in the wrong order", "\ude00\ud83d"],
  ])("takes no text of %s", (_, text) => {
    expect(isName(text)).toBe(false);
  });
});

describe("encodeFlag", () => {
  it.each(["alice", "alice.smith-2_x~", "!#$%&'*+-.^_`|~", "u", "U.YQ", "belfry.v2"])("leaves the token %s", (user) => {
    expect(encodeFlag(user)).toBe(user);
  });

  it.each([
    ["an e-mail address", "alice@example.com"],
    ["a space", "alice smith"],
    ["a comma", "a,b"],
    ["non-ASCII", "Zoë"],
    ["an emoji", "😀"],
    ["a beginning that looks encoded", "u.YWxpY2U"],
    ["u. alone", "u."],
    ["the subprotocol's own name", "belfry.v1"],
  ])("encodes an id with %s", (_, user) => {
    expect(encodeFlag(user)).toBe(`u.${base64url(user)}`);
    expect(encodeFlag(user)).toMatch(tokenPattern);
    expect(decodeFlag(encodeFlag(user))).toBe(user);
  });
});

describe("decodeFlag", () => {
  it.each([
    ["u.YQ", "a"],
    ["u.YWI", "ab"],
    ["u.YWJj", "abc"],
    ["u.YWxpY2VAZXhhbXBsZS5jb20", "alice@example.com"],
    ["u.77u_", "\ufeff\u003f".slice(0, 1)],
    ["u.AA", "\u0000"],
    ["u.dS5ZUQ", "u.YQ"],
  ])("reads %s as base64url", (flag, user) => {
    expect(decodeFlag(flag)).toBe(user);
  });

  it.each([
    ["nothing behind u.", "u."],
    ["bits left over in the last character of two", "u.YR"],
    ["bits left over in the last character of three", "u.YWJ"],
    ["a length that no bytes have", "u.YWxpY"],
    ["padding", "u.YQ=="],
    ["the other alphabet", "u.77u/"],
    ["a dot", "u.YQ.YQ"],
    ["bytes that are not UTF-8", `u.${Buffer.from([0xff, 0xfe]).toString("base64url")}`],
    ["an encoded surrogate", `u.${Buffer.from([0xed, 0xa0, 0x80]).toString("base64url")}`],
    ["UTF-8 longer than it must be", `u.${Buffer.from([0xc0, 0x80]).toString("base64url")}`],
    ["a capital U", "U.YQ"],
    ["no prefix", "YQ"],
    ["the prefix in the middle", "au.YQ"],
  ])("takes a flag with %s as the id itself", (_, flag) => {
    expect(decodeFlag(flag)).toBe(flag);
  });
});
