import type { Config } from "../config.ts";
import { type Authenticator, FlagAuthenticator } from "./authenticator.ts";
import { JwtAuthenticator, type JwtKey } from "./jwt.ts";

/**
 * Makes the authenticator that AUTH_MODE and the JWT variables ask for.
 *
 * @throws TypeError when AUTH_MODE is jwt and there is no key
 */
export function authenticatorOf(config: Config): Authenticator {
  const { authMode, jwtSecret, jwtPublicKey, jwtJwksUrl, jwtIssuer, jwtAudience, jwtUserClaim } = config;
  if (authMode === "none") return new FlagAuthenticator();
  let key: JwtKey | undefined;
  if (jwtSecret !== undefined) key = { kind: "secret", secret: jwtSecret };
  if (jwtPublicKey) key = { kind: "public", key: jwtPublicKey };
  if (jwtJwksUrl) key = { kind: "jwks", url: jwtJwksUrl };
  if (!key) throw new TypeError("authMode is jwt: set one of jwtSecret, jwtPublicKey and jwtJwksUrl");
  return new JwtAuthenticator({ key, issuer: jwtIssuer, audience: jwtAudience, userClaim: jwtUserClaim });
}
