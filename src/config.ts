import type { z } from "zod";
import { readApiKeysFile } from "./api-keys-file.ts";
import { type Config, configOf, isSecret, schema } from "./config-variables.ts";
import { readKeyPair } from "./tls-files.ts";

export type { Config } from "./config-variables.ts";

/** Thrown when the configuration is wrong: one problem a line, each beginning with its variable, secrets left out. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * Reads the configuration. A variable that is set to the empty string counts as unset.
 *
 * @throws ConfigError that names every wrong variable, not just the first
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = givenIn(env);
  const result = schema.safeParse(given);
  const config = result.success ? configOf(result.data) : undefined;
  const problems = config ? contradictions(config) : [];
  problems.push(...(result.error?.issues ?? []).map((issue) => describe(issue, given)));
  problems.push(...tlsProblems(given["TLS_CERT"], given["TLS_KEY"]));
  problems.push(...apiKeyProblems(given["API_KEYS"], given["API_KEYS_FILE"]));
  if (env["NODE_ENV"] === "production" && given["ALLOW_INSECURE"] !== "true") problems.push(...openings(given));
  if (!config || problems.length > 0) throw new ConfigError(problems);
  return config;
}

/**
 * Checks a configuration that was not read but put together, as by a program that embeds the service: what its values say
 * together, and the files that it names.
 *
 * @throws ConfigError that names every problem, as {@link readConfig} would
 */
export function checkConfig(config: Config): void {
  const { tlsCert, tlsKey, apiKeys, apiKeysFile } = config;
  const problems = [
    ...contradictions(config),
    ...tlsProblems(tlsCert, tlsKey),
    ...apiKeyProblems(apiKeys, apiKeysFile),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
}

const tokenSchema = schema.pick({ JWT_SECRET: true, JWT_ISSUER: true, JWT_AUDIENCE: true, JWT_USER_CLAIM: true });

/** What tokens are signed with. */
export type TokenConfig = Pick<Config, "jwtIssuer" | "jwtAudience" | "jwtUserClaim"> & { readonly jwtSecret: string };

/**
 * Reads what tokens are signed with, whatever the rest of the environment says.
 *
 * @throws ConfigError when there is no usable JWT_SECRET
 */
export function readTokenConfig(env: Readonly<Record<string, string | undefined>>): TokenConfig {
  const given = givenIn(env);
  const result = tokenSchema.safeParse(given);
  if (!result.success) throw new ConfigError(result.error.issues.map((issue) => describe(issue, given)));
  const { JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE, JWT_USER_CLAIM } = result.data;
  if (JWT_SECRET === undefined) {
    throw new ConfigError(["JWT_SECRET: is unset; set it to the secret that the service checks tokens with"]);
  }
  return { jwtSecret: JWT_SECRET, jwtIssuer: JWT_ISSUER, jwtAudience: JWT_AUDIENCE, jwtUserClaim: JWT_USER_CLAIM };
}

/** The variables that are set. */
function givenIn(env: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  return Object.fromEntries(Object.keys(schema.shape).map((name) => [name, env[name] || undefined]));
}

/** What is wrong with values that are fine each by itself. */
function contradictions(config: Config): string[] {
  const problems: string[] = [];
  const { webhookUrl, subscribeHookUrl, webhookSecret, webhookUndeliveredSeconds, historyTtlSeconds } = config;
  const { apiPort, port, redisWaitReplicas, redisUrl, authMode, jwtSecret, jwtPublicKey, jwtJwksUrl } = config;
  if (apiPort && apiPort === port) {
    problems.push("API_PORT: is the same as PORT; leave it unset to serve everything on one port");
  }
  if (redisWaitReplicas > 0 && !redisUrl) {
    problems.push("REDIS_WAIT_REPLICAS: is set without REDIS_URL; in memory there is nothing to wait for");
  }
  if (subscribeHookUrl && webhookSecret === undefined) {
    problems.push("WEBHOOK_SECRET: is unset, but SUBSCRIBE_HOOK_URL is set, and nobody could tell who asks");
  }
  if (webhookUrl && webhookSecret === undefined) {
    problems.push("WEBHOOK_SECRET: is unset, but WEBHOOK_URL is set, and nobody could tell who sends the events");
  }
  if (webhookUrl && webhookUndeliveredSeconds >= historyTtlSeconds) {
    problems.push("WEBHOOK_UNDELIVERED_SECONDS: is not less than HISTORY_TTL_SECONDS, so messages are gone by then");
  }
  const keys = Object.entries({ JWT_SECRET: jwtSecret, JWT_PUBLIC_KEY: jwtPublicKey, JWT_JWKS_URL: jwtJwksUrl });
  const names = keys.filter(([, key]) => key !== undefined).map(([name]) => name);
  if (authMode === "jwt" && names.length !== 1) {
    const found = names.length === 0 ? "none is set" : `${names.join(" and ")} are set`;
    problems.push(`AUTH_MODE: is jwt, which takes one of JWT_SECRET, JWT_PUBLIC_KEY and JWT_JWKS_URL; ${found}`);
  }
  if (authMode === "none" && names.length > 0) {
    problems.push(`${names[0]}: is set, but AUTH_MODE is none, so no token would be checked; set AUTH_MODE=jwt`);
  }
  return problems;
}

function tlsProblems(cert: string | undefined, key: string | undefined): readonly string[] {
  if (cert !== undefined && key !== undefined) {
    const pair = readKeyPair(cert, key);
    return "cert" in pair ? [] : pair;
  }
  if (cert === undefined && key === undefined) return [];
  const [given, missing] = cert === undefined ? ["TLS_KEY", "TLS_CERT"] : ["TLS_CERT", "TLS_KEY"];
  return [`${missing}: is unset, but ${given} is set; TLS takes both`];
}

function apiKeyProblems(keys: unknown, file: string | undefined): readonly string[] {
  if (file === undefined) return [];
  if (keys !== undefined) return ["API_KEYS_FILE: is set, and so is API_KEYS; keep one of them"];
  const found = readApiKeysFile(file);
  return typeof found === "string" ? [found] : [];
}

/** What would let anyone in. */
function openings(given: Readonly<Record<string, string | undefined>>): string[] {
  const problems: string[] = [];
  const { AUTH_MODE = "none", API_KEYS, API_KEYS_FILE, JWT_SECRET } = given;
  if (AUTH_MODE === "none") {
    problems.push("AUTH_MODE: is none in production, so anyone can be anyone; ALLOW_INSECURE=true starts all the same");
  }
  if (!API_KEYS && !API_KEYS_FILE) {
    problems.push("API_KEYS: is unset in production, so anyone can publish; ALLOW_INSECURE=true starts all the same");
  }
  // RFC 7518 section 3.2.
  if (JWT_SECRET && Buffer.byteLength(JWT_SECRET) < 32) {
    problems.push("JWT_SECRET: has less than 32 bytes, so it can be guessed; ALLOW_INSECURE=true starts all the same");
  }
  return problems;
}

function describe(issue: z.core.$ZodIssue, given: Record<string, string | undefined>): string {
  const name = String(issue.path[0]);
  const shown = isSecret(name) ? "its value" : JSON.stringify(given[name]);
  return `${name}: ${shown} ${issue.message}`;
}
