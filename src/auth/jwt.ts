import { createSecretKey, type KeyObject } from "node:crypto";
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from "jose";
import type { Credentials } from "../credentials.ts";
import { BelfryError } from "../errors.ts";
import { isName, maxNameLength } from "../protocol/user-ids.ts";
import type { Authenticator } from "./authenticator.ts";

/** Where the keys come from that tokens are signed with. */
export type JwtKey =
  | { readonly kind: "secret"; readonly secret: string }
  | { readonly kind: "public"; readonly key: KeyObject }
  | { readonly kind: "jwks"; readonly url: URL };

/** Settings of {@link JwtAuthenticator}. */
export interface JwtOptions {
  readonly key: JwtKey;
  /** Only tokens of this issuer; undefined: of any. */
  readonly issuer?: string | undefined;
  /** Only tokens for this audience; undefined: for any. */
  readonly audience?: string | undefined;
  /** The claim that holds the user id. */
  readonly userClaim: string;
  /** The claim that lists the topics that the user may subscribe to. */
  readonly topicsClaim: string;
}

/** By how much clocks may differ, in seconds: for `exp` and `nbf`. */
const leewaySeconds = 5;

/** Longest token that is looked at, in characters. */
const maxTokenLength = 8192;

/** How long the keys of a JWKS are used before they are fetched again, in ms. */
const jwksMaxAgeMs = 10 * 60_000;

/** Pause between two fetches of a JWKS, however many tokens name keys that are not in it, in ms. */
const jwksCooldownMs = 30_000;

/** The same while they cannot be fetched, in seconds: short, since nobody gets in until then. */
const jwksRetrySeconds = 2;

/** Time for a fetch of a JWKS, in ms. */
const jwksTimeoutMs = 3000;

/**
 * `AUTH_MODE=jwt`: the credentials are a signed JSON Web Token, and one of its claims is the user id. Which algorithms are
 * allowed is decided by the kind of key, never by the token.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8725 JWT best current practices
 */
export class JwtAuthenticator implements Authenticator {
  readonly #getKey: JWTVerifyGetKey;
  readonly #verification: JWTVerifyOptions;
  readonly #userClaim: string;
  readonly #topicsClaim: string;

  constructor({ key, issuer, audience, userClaim, topicsClaim }: JwtOptions) {
    this.#getKey = keyGetter(key);
    this.#userClaim = userClaim;
    this.#topicsClaim = topicsClaim;
    this.#verification = {
      algorithms: [...algorithmsOf(key)],
      clockTolerance: leewaySeconds,
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
    };
  }

  async authenticate(presented: string): Promise<Credentials> {
    if (presented.length > maxTokenLength) throw refused(`the token is longer than ${maxTokenLength} characters`);
    const verified = jwtVerify(presented, this.#getKey, this.#verification);
    const { payload } = await verified.catch((error: unknown) => {
      throw refused(reasonOf(error));
    });
    return this.#credentialsOf(payload);
  }

  #credentialsOf(payload: JWTPayload): Credentials {
    const user = claimOf(payload, this.#userClaim);
    if (typeof user !== "string" || !isName(user)) {
      throw refused(`the token's claim ${this.#userClaim} is not a text of 1 to ${maxNameLength} characters`);
    }
    const { jti, iat, exp } = payload;
    if (jti !== undefined && typeof jti !== "string") throw refused("the token's claim jti is not a text");
    const topics = claimOf(payload, this.#topicsClaim);
    if (topics !== undefined && !areNames(topics)) {
      throw refused(
        `the token's claim ${this.#topicsClaim} is not a list of texts of 1 to ${maxNameLength} characters`,
      );
    }
    const issuedAtMs = iat === undefined ? undefined : iat * 1000;
    return { user, token: { id: jti, issuedAtMs, expiresAtMs: expiryOf(exp), topics } };
  }
}

function claimOf(payload: JWTPayload, name: string): unknown {
  return Object.hasOwn(payload, name) ? payload[name] : undefined;
}

function areNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string" && isName(entry));
}

/** When a connection ends because of its token: one that was let in by the leeway has the leeway to renew it. */
function expiryOf(exp: number | undefined): number | undefined {
  if (exp === undefined) return undefined;
  const expiresAtMs = exp * 1000;
  return expiresAtMs > Date.now() ? expiresAtMs : expiresAtMs + leewaySeconds * 1000;
}

const rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const edwards = ["EdDSA", "Ed25519"];
const curves: Readonly<Record<string, string>> = { prime256v1: "ES256", secp384r1: "ES384", secp521r1: "ES512" };

/** The algorithms that a key may be used with; for a public key never those of shared secrets. */
function algorithmsOf(key: JwtKey): readonly string[] {
  if (key.kind === "secret") return ["HS256", "HS384", "HS512"];
  if (key.kind === "jwks") return [...rsa, ...Object.values(curves), ...edwards];
  const { asymmetricKeyType, asymmetricKeyDetails } = key.key;
  if (asymmetricKeyType === "rsa") return rsa;
  if (asymmetricKeyType === "ed25519") return edwards;
  const curve = curves[asymmetricKeyDetails?.namedCurve ?? ""];
  return curve === undefined ? [] : [curve];
}

function keyGetter(key: JwtKey): JWTVerifyGetKey {
  if (key.kind === "jwks") return remoteKeyGetter(key.url);
  const used = key.kind === "secret" ? createSecretKey(key.secret, "utf8") : key.key;
  return () => used;
}

function remoteKeyGetter(url: URL): JWTVerifyGetKey {
  const getKey = createRemoteJWKSet(url, {
    cacheMaxAge: jwksMaxAgeMs,
    cooldownDuration: jwksCooldownMs,
    timeoutDuration: jwksTimeoutMs,
    [customFetch]: pacedFetch(),
  });
  return async (header, token) => {
    try {
      return await getKey(header, token);
    } catch (error) {
      if (tokenErrors.some((kind) => error instanceof kind)) throw error;
      const detail = "the keys that tokens are signed with cannot be fetched";
      throw new BelfryError("unavailable", detail, { retryAfterSeconds: jwksRetrySeconds, cause: error });
    }
  };
}

/** A fetch that fails at once when the one before has only just begun: jose's own cooldown begins with the first success. */
function pacedFetch(): FetchImplementation {
  let nextAtMs = 0;
  return async (url, options) => {
    const nowMs = performance.now();
    if (nowMs < nextAtMs) throw new Error("the keys were asked for a moment ago");
    nextAtMs = nowMs + jwksRetrySeconds * 1000;
    return fetch(url, options);
  };
}

/** What looking a key up fails with because of the token, and not because of the place where the keys are. */
const tokenErrors = [
  errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys,
  errors.JOSENotSupported,
  errors.JWSInvalid,
];

function refused(reason: string): BelfryError {
  return new BelfryError("unauthorized", reason);
}

/** Why a token is not valid. The errors' own messages are left out: they may quote the token. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "the token has expired";
  if (error instanceof errors.JWTClaimValidationFailed) return `the token's claim ${error.claim} is not accepted`;
  if (error instanceof errors.JWSSignatureVerificationFailed) return "the token's signature is not valid";
  if (error instanceof errors.JOSEAlgNotAllowed) return "the token's algorithm is not allowed";
  if (error instanceof errors.JWKSNoMatchingKey) return "the token's key is not known";
  if (error instanceof errors.JWKSMultipleMatchingKeys) return "the token does not say which key it is signed with";
  if (error instanceof errors.JOSEError) return "this is not a valid token";
  throw error;
}
