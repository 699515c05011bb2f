import { createHmac, createPublicKey, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, exportSPKI, generateKeyPair } from "jose";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { JwtAuthenticator, type JwtKey, type JwtOptions } from "../../../src/auth/jwt.ts";
import { nowSeconds, secret, sign } from "../../support/tokens.ts";

function authenticator(key: JwtKey = { kind: "secret", secret }, options: Partial<JwtOptions> = {}): JwtAuthenticator {
  return new JwtAuthenticator({ key, userClaim: "sub", topicsClaim: "topics", ...options });
}

/** Why a token was refused. */
async function refusal(token: string, by = authenticator()): Promise<string> {
  const error = await by.authenticate(token).then(
    (credentials) => new Error(`let in as ${credentials.user}`),
    (thrown: Error & { code?: string }) => thrown,
  );
  expect(error).toMatchObject({ code: "unauthorized" });
  for (const part of token.split(".")) if (part.length > 5) expect(error.message).not.toContain(part);
  expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(123);
  return error.message;
}

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Signs anything with the secret, by hand: what no library would write. */
function forge(header: unknown, payload: unknown, key: string | Buffer = secret): string {
  const text = `${base64url(header)}.${base64url(payload)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

const claims = () => ({ sub: "alice", exp: nowSeconds() + 60 });

describe("a good token", () => {
  it.each(["HS256", "HS384", "HS512"])("is taken when it is signed with the secret, by %s", async (alg) => {
    const token = await sign({ jti: "t1", iat: 1000, exp: 4_000_000_000 }, undefined, { alg });
    expect(await authenticator().authenticate(token)).toEqual({
      user: "alice",
      token: { id: "t1", issuedAtMs: 1_000_000, expiresAtMs: 4_000_000_000_000 },
    });
  });

  it.each(["RS256", "RS512", "PS256", "PS384", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])(
    "is taken when it is signed with the private key, by %s",
    async (alg) => {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      const key = createPublicKey(await exportSPKI(publicKey));
      const token = await sign({}, privateKey, { alg });
      expect(await authenticator({ kind: "public", key }).authenticate(token)).toMatchObject({ user: "alice" });
    },
  );

  it("needs no exp, iat or jti, and its user may stand in another claim", async () => {
    const token = forge({ alg: "HS256" }, { sub: 7, email: "zoë@example.com" });
    expect(await authenticator(undefined, { userClaim: "email" }).authenticate(token)).toEqual({
      user: "zoë@example.com",
      token: { id: undefined, issuedAtMs: undefined, expiresAtMs: undefined },
    });
  });

  it("may have expired within the leeway, and then ends with it", async () => {
    const exp = nowSeconds() - 2;
    expect((await authenticator().authenticate(await sign({ exp }))).token?.expiresAtMs).toBe((exp + 5) * 1000);
  });

  it("is of the issuer and for the audience that are set", async () => {
    const strict = authenticator(undefined, { issuer: "https://id.example.com", audience: "push" });
    const good = { iss: "https://id.example.com", aud: ["api", "push"] };
    expect(await strict.authenticate(await sign(good))).toMatchObject({ user: "alice" });
    for (const [name, value] of [
      ["iss", "https://evil.example.com"],
      ["iss", undefined],
      ["aud", "api"],
      ["aud", undefined],
    ]) {
      const reason = `the token's claim ${name} is not accepted`;
      expect(await refusal(await sign({ ...good, [name as string]: value }), strict)).toBe(reason);
    }
  });
});

describe("an attack", () => {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const byPublicKey = authenticator({ kind: "public", key: publicKey });
  const pem = publicKey.export({ type: "spki", format: "pem" }) as string;

  it("by alg none, in any spelling, is refused", async () => {
    for (const alg of ["none", "None", "NONE", "nOnE", ""]) {
      const unsigned = `${base64url({ alg })}.${base64url(claims())}.`;
      for (const by of [authenticator(), byPublicKey]) await refusal(unsigned, by);
    }
  });

  it("by the public key taken for a shared secret is refused", async () => {
    for (const key of [pem, pem.trim(), publicKey.export({ type: "spki", format: "der" })]) {
      expect(await refusal(forge({ alg: "HS256" }, claims(), key), byPublicKey)).toBe(
        "the token's algorithm is not allowed",
      );
    }
  });

  it("by a signature that was stripped, cut, swapped or changed is refused", async () => {
    const token = await sign();
    const [head, body, signature = ""] = token.split(".");
    for (const other of ["", signature.slice(0, -2), (await sign({ sub: "bob" })).split(".")[2], "AAAA", "!!!!"]) {
      await refusal(`${head}.${body}.${other}`);
    }
    await refusal(`${head}.${body}`);
    await refusal(`${head}.${base64url({ ...claims(), sub: "root" })}.${signature}`);
    expect(await refusal(forge({ alg: "HS256" }, claims(), `${secret}.`))).toBe("the token's signature is not valid");
  });

  it("by an unknown critical header is refused", async () => {
    await refusal(forge({ alg: "HS256", crit: ["x-admin"], "x-admin": true }, claims()));
    await refusal(forge({ alg: "HS256", crit: [] }, claims()));
    await refusal(forge({ alg: "HS256", crit: ["b64"], b64: false }, claims()));
  });

  it.each([
    ["a number", 7],
    ["null", null],
    ["a list", ["alice"]],
    ["an object", { toString: "alice" }],
    ["empty", ""],
    ["too long", "a".repeat(129)],
    ["half a character", "\ud800"],
    ["missing", undefined],
  ])("by a sub that is %s is refused", async (_, sub) => {
    expect(await refusal(forge({ alg: "HS256" }, { ...claims(), sub }))).toContain("claim sub");
  });

  it("by a claim that every object has is refused", async () => {
    for (const userClaim of ["constructor", "__proto__", "toString"]) {
      await refusal(await sign(), authenticator(undefined, { userClaim }));
    }
  });

  it.each([
    ["exp", { exp: "never" }],
    ["exp", { exp: null }],
    ["nbf", { nbf: "now" }],
    ["nbf", { nbf: nowSeconds() + 100 }],
    ["iat", { iat: "yesterday" }],
    ["jti", { jti: 5 }],
  ])("by a wrong %s is refused", async (claim, wrong) => {
    expect(await refusal(forge({ alg: "HS256" }, { ...claims(), ...wrong }))).toContain(`claim ${claim}`);
  });

  it("by a token that has expired is refused", async () => {
    expect(await refusal(await sign({ exp: nowSeconds() - 10 }))).toBe("the token has expired");
  });

  it("by a giant token is refused before anything is computed", async () => {
    expect(await refusal(await sign({ pad: "x".repeat(8192) }))).toBe("the token is longer than 8192 characters");
  });

  it("by a key that comes with the token is refused", async () => {
    const { publicKey: own, privateKey: ownPrivate } = await generateKeyPair("RS256", { extractable: true });
    const jwk = await exportJWK(own);
    for (const header of [
      { jwk },
      { jku: "http://127.0.0.1:1/" },
      { x5u: "http://127.0.0.1:1/" },
      { kid: "../../dev/null" },
    ]) {
      await refusal(await sign({}, ownPrivate, { alg: "RS256", ...header }), byPublicKey);
    }
    await refusal(forge({ alg: "HS256", kid: "' OR 1=1 --" }, claims(), ""));
  });

  it.each(["", ".", "..", "a.b.c", "e30.e30.", "e30.e30.e30", "a.b.c.d.e", "😀", "alice", `${"a.".repeat(3000)}`])(
    "by what is no token is refused: %s",
    async (token) => {
      await refusal(token);
      await refusal(token, byPublicKey);
    },
  );

  it("by JSON that is not what a token holds is refused", async () => {
    for (const payload of [null, 1, "alice", ["alice"], true]) await refusal(forge({ alg: "HS256" }, payload));
    for (const header of [null, 1, [], { alg: 1 }, { alg: ["HS256"] }]) {
      await refusal(forge(header, claims()));
    }
  });
});

describe("keys from a JWKS", () => {
  /** An issuer whose keys are served, counted, and can be exchanged. */
  async function issuer() {
    const state = { keys: [] as unknown[], status: 200, fetches: 0 };
    const server = createServer((_, response) => {
      state.fetches++;
      response.writeHead(state.status, { "content-type": "application/json" });
      response.end(JSON.stringify({ keys: state.keys }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`);
    const addKey = async (kid: string, alg = "ES256") => {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      state.keys.push({ ...(await exportJWK(publicKey)), kid, alg });
      return (header = {}) => sign({}, privateKey, { alg, kid, ...header });
    };
    return { state, addKey, by: authenticator({ kind: "jwks", url }) };
  }

  function twoSecondsLater(): void {
    const laterMs = performance.now() + 2000;
    vi.spyOn(performance, "now").mockReturnValue(laterMs);
  }

  it("are fetched once for many tokens", async () => {
    const { state, addKey, by } = await issuer();
    const [first, second] = [await addKey("k1"), await addKey("k2", "RS256")];
    const tokens = await Promise.all([first(), second(), first(), second(), first()]);
    const all = await Promise.all(tokens.map((token) => by.authenticate(token)));
    expect(all.map(({ user }) => user)).toEqual(Array(5).fill("alice"));
    expect(state.fetches).toBe(1);
  });

  it("are not fetched again and again for unknown keys", async () => {
    const { state, addKey, by } = await issuer();
    const good = await addKey("k1");
    await by.authenticate(await good());
    const stranger = await generateKeyPair("ES256");
    for (let n = 0; n < 50; n++) {
      const token = await sign({}, stranger.privateKey, { alg: "ES256", kid: `unknown-${n}` });
      expect(await refusal(token, by)).toBe("the token's key is not known");
    }
    expect(state.fetches).toBe(1);
  });

  it("that cannot be fetched are no fault of the token", async () => {
    const { state, addKey, by } = await issuer();
    const good = await addKey("k1");
    state.status = 500;
    await expect(by.authenticate(await good())).rejects.toMatchObject({ code: "unavailable", retryAfterSeconds: 2 });
    state.status = 200;
    twoSecondsLater();
    expect(await by.authenticate(await good())).toMatchObject({ user: "alice" });
  });

  it("are not fetched again and again from an issuer that fails", async () => {
    const { state, addKey, by } = await issuer();
    const good = await addKey("k1");
    state.status = 500;
    const ask = async () => expect(by.authenticate(await good())).rejects.toMatchObject({ code: "unavailable" });
    for (let n = 0; n < 50; n++) await ask();
    expect(state.fetches).toBe(1);
    twoSecondsLater();
    await ask();
    expect(state.fetches).toBe(2);
  });

  it("are never taken for shared secrets", async () => {
    const { state, by } = await issuer();
    state.keys.push({ kty: "oct", k: Buffer.from(secret).toString("base64url"), alg: "HS256", kid: "k1" });
    expect(await refusal(await sign({}, undefined, { alg: "HS256", kid: "k1" }), by)).toBe(
      "the token's algorithm is not allowed",
    );
  });

  it("may be of an issuer that does not name them", async () => {
    const { by, addKey } = await issuer();
    const token = await addKey("k1");
    expect(await by.authenticate(await token({ kid: undefined }))).toMatchObject({ user: "alice" });
    await addKey("k2");
    const { by: other, addKey: addOther } = await issuer();
    const nameless = await addOther("k1");
    await addOther("k2");
    expect(await refusal(await nameless({ kid: undefined }), other)).toContain("does not say which key");
  });
});
