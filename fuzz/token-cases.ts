import type { Random } from "../chaos/random.ts";
import { mutate, randomBytes } from "./bytes.ts";
import { type Configuration, userClaim } from "./configuration.ts";
import { farExpiry, issuedAt, segment, signToken } from "./token.ts";
import { jsonTexts, someUser, texts } from "./values.ts";

/** A flag as a client presents it: a good one, or one that is wrong in some way. */
export function someFlag(random: Random, { jwtSecret, flagOf }: Configuration): string {
  if (random.chance(0.3)) return flagOf(someUser(random));
  if (random.chance(0.15)) return mutate(random, Buffer.from(flagOf(someUser(random)))).toString("latin1");
  return jwtSecret === undefined ? oddName(random) : oddToken(random, jwtSecret);
}

function oddName(random: Random): string {
  const text = random.pick(texts);
  return random.pick([
    () => text,
    () => `u.${Buffer.from(text).toString("base64url")}`,
    () => `u.${Buffer.from(text).toString("base64")}`,
    () => `u.${randomBytes(random, random.between(0, 60)).toString("base64url")}`,
    () => "t".repeat(random.between(100, 300)),
  ])();
}

function oddToken(random: Random, secret: string): string {
  const good = { [userClaim]: someUser(random), iat: issuedAt, exp: farExpiry, jti: "fuzz" };
  return random.pick<() => string>([
    () => signToken(oddHeader(random), good, secret, random.pick(["sha256", "sha384", "sha512", "sha1"])),
    () => signToken({ alg: "HS256" }, oddClaims(random, good), secret),
    () => signToken({ alg: "HS256" }, random.pick(jsonTexts), secret),
    () => signToken({ alg: "HS256" }, randomBytes(random, 40), secret),
    () => signToken(random.pick(jsonTexts), good, secret),
    () => signToken({ alg: "HS256" }, good, random.pick(["", "x", `${secret}x`])),
    () => `${segment({ alg: "none" })}.${segment(good)}.`,
    () => `${segment({ alg: "HS256" })}.${segment(good)}`,
    () => signToken({ alg: "HS256" }, good, secret).slice(0, random.between(0, 200)),
    () => `${segment({ alg: "dir", enc: "A128GCM" })}..${segment("iv")}.${segment("text")}.${segment("tag")}`,
    () => signToken({ alg: "HS256" }, { ...good, padding: "p".repeat(random.between(2000, 9000)) }, secret),
    () => ".".repeat(random.between(1, 50)),
    () => randomBytes(random, random.between(1, 60)).toString("base64url"),
  ])();
}

function oddHeader(random: Random): unknown {
  return random.pick<unknown>([
    { alg: "none" },
    { alg: "HS384" },
    { alg: "HS512" },
    { alg: "RS256" },
    { alg: "ES256" },
    { alg: "hs256" },
    { alg: ["HS256"] },
    { alg: null },
    {},
    [],
    { alg: "HS256", crit: ["b64"], b64: false },
    { alg: "HS256", crit: ["exp"], exp: 1 },
    { alg: "HS256", crit: [] },
    { alg: "HS256", kid: "../../dev/null" },
    { alg: "HS256", jku: "http://127.0.0.1:1/keys", x5u: "http://127.0.0.1:1/cert" },
    { alg: "HS256", jwk: { kty: "oct", k: "AA" } },
    { alg: "HS256", zip: "DEF" },
    { alg: "HS256", typ: 5, cty: "JWT" },
    { alg: "HS256", padding: "x".repeat(5000) },
  ]);
}

function oddClaims(random: Random, good: Readonly<Record<string, unknown>>): unknown {
  const claim = random.pick([userClaim, "exp", "iat", "nbf", "jti", "aud", "iss", "sub", "__proto__"]);
  const value = random.pick<unknown>([
    ...texts,
    null,
    true,
    [],
    {},
    0,
    -1,
    0.5,
    1e308,
    -1e308,
    Number.MAX_SAFE_INTEGER,
    issuedAt,
    farExpiry,
    [good[userClaim]],
  ]);
  // Not by a member of the literal: of __proto__ that would be the prototype.
  return Object.fromEntries([...Object.entries(good).filter(([name]) => name !== claim), [claim, value]]);
}
