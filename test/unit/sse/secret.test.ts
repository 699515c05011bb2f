import { describe, expect, it } from "vitest";
import { digestOf, isSecret, newSecret, userOfSecret } from "../../../src/sse/secret.ts";

describe("a secret", () => {
  it.each(["alice", "zoë 🔔", "a.b", "x".repeat(128), null])("says that it is of %j, and is never the same", (user) => {
    const secret = newSecret(user);
    expect(userOfSecret(secret)).toBe(user);
    expect(secret).toMatch(/^[\w.-]+$/);
    expect(newSecret(user)).not.toBe(secret);
  });

  it("is known by what is kept of it, and nothing else is", () => {
    const secret = newSecret("alice");
    const digest = digestOf(secret);
    expect(isSecret(secret, digest)).toBe(true);
    for (const other of ["", `${secret}x`, secret.slice(0, -1), newSecret("alice")]) {
      expect(isSecret(other, digest)).toBe(false);
    }
  });

  it.each([
    "",
    "alice",
    ".YWxpY2U",
    `${"A".repeat(42)}.YWxpY2U`,
    `${"A".repeat(43)}.`,
    `${"A".repeat(43)}.${Buffer.from("x".repeat(129)).toString("base64url")}`,
    `${"A".repeat(43)}.YWxpY2U.x`,
  ])("is not %j", (text) => {
    expect(userOfSecret(text)).toBeUndefined();
  });
});
