import { hush } from "../test/support/secrets.ts";
import { farExpiry, issuedAt, signToken } from "./token.ts";

/** Ways in which the service is started for a run. */
export const configurationNames = ["jwt", "none"] as const;

/** Name of a configuration. */
export type ConfigurationName = (typeof configurationNames)[number];

/** What clients and publishers need to be let in. */
export interface Configuration {
  readonly name: ConfigurationName;
  /** Variables beside {@link commonSettings}. */
  readonly env: Readonly<Record<string, string>>;
  /** Secrets of API keys: one with all rights, one each with some, and one that nobody knows. Empty: the API is open. */
  readonly keys: readonly string[];
  /** What tokens are signed with; undefined: there are none. */
  readonly jwtSecret: string | undefined;
  /** The flag that a user presents. */
  readonly flagOf: (user: string) => string;
}

/**
 * Settings of every run. What the service keeps by design is kept small, so that what grows all the same stands out; limits
 * that would end a case early are wide.
 */
export const commonSettings: Readonly<Record<string, string>> = {
  HOST: "127.0.0.1",
  PORT: "0",
  COMPRESSION: "true",
  MAX_PAYLOAD_BYTES: "32768",
  HISTORY_SIZE: "20",
  MEMORY_HISTORY_BYTES: "8388608",
  IDEMPOTENCY_TTL_SECONDS: "5",
  REVOCATION_TTL_SECONDS: "1",
  MAX_CONNECTIONS_PER_USER: "10000",
  LOG_LEVEL: "debug",
};

/** A claim as issuers name them: its name is longer than the reason of a close frame may be. */
export const userClaim = `https://identity.example.com/${"claims/".repeat(16)}user`;

const jwtSecret = hush("known-to-the-issuer-and-to-the-service");

const configurations: Readonly<Record<ConfigurationName, Configuration>> = {
  jwt: {
    name: "jwt",
    env: {
      AUTH_MODE: "jwt",
      JWT_SECRET: jwtSecret,
      JWT_USER_CLAIM: userClaim,
      API_KEYS: `all:${hush("all")},some:${hush("publish")}:publish,other:${hush("read")}:read`,
      ALLOWED_ORIGINS: "https://app.example.com,https://*.example.org",
      TRUST_PROXY: "1",
    },
    keys: [hush("all"), hush("publish"), hush("read"), hush("unknown")],
    jwtSecret,
    flagOf: (user) =>
      signToken({ alg: "HS256" }, { [userClaim]: user, iat: issuedAt, exp: farExpiry, jti: "fuzz" }, jwtSecret),
  },
  none: {
    name: "none",
    env: { AUTH_MODE: "none", ALLOW_ANONYMOUS: "true", MAX_CLIENT_FRAMES_PER_SECOND: "100000" },
    keys: [],
    jwtSecret: undefined,
    flagOf: (user) => user,
  },
};

/** A configuration by its name. */
export function configurationOf(name: ConfigurationName): Configuration {
  return configurations[name];
}
