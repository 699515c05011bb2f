import { createSecretKey, randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import type { TokenConfig } from "../config.ts";

/**
 * Signs a token that a service with the same variables accepts: for development, where no issuer is at hand.
 *
 * @param ttlSeconds how long it is valid from now on
 */
export function signToken(config: TokenConfig, user: string, ttlSeconds: number): Promise<string> {
  const { jwtSecret, jwtIssuer, jwtAudience, jwtUserClaim } = config;
  const iat = Math.floor(Date.now() / 1000);
  const claims = {
    jti: randomUUID(),
    iat,
    exp: iat + ttlSeconds,
    ...(jwtIssuer !== undefined && { iss: jwtIssuer }),
    ...(jwtAudience !== undefined && { aud: jwtAudience }),
    [jwtUserClaim]: user,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(createSecretKey(jwtSecret, "utf8"));
}
