import { type CryptoKey, type JWTHeaderParameters, type JWTPayload, SignJWT } from "jose";
import { hush } from "./secrets.ts";

/** Long enough for production. */
export const secret = hush("a secret that is known to the issuer and to Belfry");

/** Seconds since the Unix epoch, as tokens have them. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Signs a token as the issuer would; what is given replaces what is usual. */
export function sign(
  claims: JWTPayload = {},
  key: Uint8Array | CryptoKey = new TextEncoder().encode(secret),
  header: JWTHeaderParameters = { alg: "HS256" },
): Promise<string> {
  const usual = { sub: "alice", iat: nowSeconds(), exp: nowSeconds() + 600 };
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader(header).sign(key);
}
