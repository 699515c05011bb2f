import { describe, expect, it } from "vitest";
import { runCli, startProcess } from "../support/process.ts";
import { TestClient } from "../support/test-client.ts";
import { nowSeconds, secret } from "../support/tokens.ts";

const env = {
  JWT_SECRET: secret,
  JWT_ISSUER: "https://login.example.com",
  JWT_AUDIENCE: "belfry",
  JWT_USER_CLAIM: "https://example.com/user",
};

/** What a token says. */
function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
}

describe("belfry token", () => {
  it("prints a token, and nothing else, with which a client is let in", async () => {
    const { code, stdout, stderr } = await runCli(["token", "--user", "ä@b.com", "--ttl", "1h"], env);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const { port } = await startProcess({ ...env, AUTH_MODE: "jwt" });
    const client = await TestClient.welcomed(port, ["belfry.v1", stdout.trim()]);
    expect(client.welcome["user"]).toBe("ä@b.com");
  });

  it("says who, until when, and an id by which it can be revoked", async () => {
    const lifetimes = { "90s": 90, "15m": 900, "7d": 604_800, "": 3600 };
    for (const [ttl, seconds] of Object.entries(lifetimes)) {
      const { stdout } = await runCli(["token", "--user", "alice", ...(ttl ? ["--ttl", ttl] : [])], {
        JWT_SECRET: secret,
      });
      const { iat, ...claims } = claimsOf(stdout) as { iat: number };
      expect(Math.abs(iat - nowSeconds())).toBeLessThan(10);
      expect(claims).toEqual({ sub: "alice", jti: expect.stringMatching(/^[0-9a-f-]{36}$/), exp: iat + seconds });
    }
  });

  it("ends with 78 and a line that says why without a JWT_SECRET, whatever else is set", async () => {
    const { code, stdout, stderr } = await runCli(["token", "--user", "alice"], { AUTH_MODE: "jwt", PORT: "http" });
    expect([code, stdout]).toEqual([78, ""]);
    expect(stderr).toBe("belfry: JWT_SECRET: is unset; set it to the secret that the service checks tokens with\n");
  });

  it.each([
    ["no user", []],
    ["a user id that is too long", ["--user", "a".repeat(129)]],
    ["an empty user id", ["--user", ""]],
    ["a time without a unit", ["--user", "alice", "--ttl", "60"]],
    ["no time at all", ["--user", "alice", "--ttl", "0s"]],
  ])("refuses %s with 1", async (_, args) => {
    const { code, stdout, stderr } = await runCli(["token", ...args], env);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("error: ");
    expect(stderr).not.toContain(secret);
  });

  it("explains itself with --help, and an example", async () => {
    const { code, stdout } = await runCli(["token", "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain("belfry token --user alice --ttl 1h");
  });
});
