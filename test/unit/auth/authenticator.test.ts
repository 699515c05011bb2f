import { describe, expect, it } from "vitest";
import { FlagAuthenticator } from "../../../src/auth/authenticator.ts";

describe("FlagAuthenticator", () => {
  it.each([
    ["alice", "alice"],
    ["u.YWxpY2VAZXhhbXBsZS5jb20", "alice@example.com"],
    ["u.YR", "u.YR"],
    ["a".repeat(128), "a".repeat(128)],
    [`u.${Buffer.from("😀".repeat(128)).toString("base64url")}`, "😀".repeat(128)],
  ])("takes %s for a user", async (flag, user) => {
    expect(await new FlagAuthenticator().authenticate(flag)).toEqual({ user });
  });

  it.each(["a".repeat(129), `u.${Buffer.from("a".repeat(129)).toString("base64url")}`, ""])(
    "refuses an id that is not 1 to 128 characters",
    async (flag) => {
      await expect(new FlagAuthenticator().authenticate(flag)).rejects.toMatchObject({ code: "malformed" });
    },
  );
});
