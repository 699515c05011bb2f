import { describe, expect, it } from "vitest";
import { FlagAuthenticator } from "../../../src/auth/authenticator.ts";

describe("FlagAuthenticator", () => {
  it.each([
    ["alice", "alice"],
    ["u.YWxpY2VAZXhhbXBsZS5jb20", "alice@example.com"],
    ["u.YR", "u.YR"],
    ["a".repeat(128), "a".repeat(128)],
    [`u.${Buffer.from("😀".repeat(128)).toString("base64url")}`, "😀".repeat(128)],
  ])("takes %s for a user", (flag, user) => {
    expect(new FlagAuthenticator(false).authenticate(flag)).toEqual({ user });
  });

  it.each(["a".repeat(129), `u.${Buffer.from("a".repeat(129)).toString("base64url")}`, ""])(
    "refuses an id that is not 1 to 128 characters",
    (flag) => {
      expect(() => new FlagAuthenticator(true).authenticate(flag)).toThrow(
        expect.objectContaining({ code: "malformed" }),
      );
    },
  );

  it("lets nobody in who says nothing, unless anonymous clients are allowed", () => {
    const unauthorized = expect.objectContaining({ code: "unauthorized" });
    expect(() => new FlagAuthenticator(false).authenticate(undefined)).toThrow(unauthorized);
    expect(new FlagAuthenticator(true).authenticate(undefined)).toEqual({ user: null });
  });

  it("knows a user also where anonymous clients are allowed", () => {
    expect(new FlagAuthenticator(true).authenticate("alice")).toEqual({ user: "alice" });
  });
});
