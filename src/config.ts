import { isIP } from "node:net";
import { z } from "zod";
import { parseRedisUrl, redisUrlForms } from "./redis-url.ts";

/** Rights of an API key, each one apart. `read`: look at users and history; `admin`: disconnect users. */
const rights = ["publish", "read", "admin"] as const;
export type Right = (typeof rights)[number];

/** One entry of API_KEYS. */
export interface ApiKeyConfig {
  /** What logs and limits call the key; `key1`, `key2`, … when not named. */
  readonly name: string;
  readonly secret: string;
  readonly rights: readonly Right[];
}

/** What `belfry serve --help` and the docs say about a variable, beside its default. */
interface Meta {
  readonly description: string;
  /** Shown instead of the value in messages and help. */
  readonly secret?: true;
}

const maxTimerMs = 2 ** 31 - 1;

function integer(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  const expected =
    max === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${min}` : `a whole number from ${min} to ${max}`;
  return z
    .string()
    .refine((text) => /^\d{1,16}$/.test(text) && Number(text) >= min && Number(text) <= max, `is not ${expected}`)
    .transform(Number);
}

const milliseconds = (min: number) => integer(min, maxTimerMs);
const flag = z.enum(["true", "false"], "is neither true nor false").transform((text) => text === "true");

function list<T>(parse: (entry: string, index: number) => T | string) {
  return z.string().transform((text, context): T[] => {
    const entries: T[] = [];
    for (const [index, entry] of text.split(",").entries()) {
      const parsed = parse(entry.trim(), index);
      if (typeof parsed === "string") context.addIssue({ code: "custom", message: parsed });
      else entries.push(parsed);
    }
    return entries;
  });
}

/** Where a browser page may come from. */
export type AllowedOrigin =
  | { readonly kind: "any" }
  | { readonly kind: "exact"; readonly origin: string }
  | { readonly kind: "subdomains"; readonly scheme: string; readonly suffix: string };

function parseOrigin(entry: string): AllowedOrigin | string {
  if (entry === "*") return { kind: "any" };
  const match = /^(https?):\/\/(\*\.)?([a-z0-9.-]+(?::\d{1,5})?|\[[0-9a-f:]+\](?::\d{1,5})?)$/i.exec(entry);
  const [, scheme = "", wildcard, name = ""] = match ?? [];
  // URL brings case and default ports into the form that browsers send, and knows which ports and addresses there are.
  const example = `${scheme}://${wildcard ? "x." : ""}${name}`;
  if (!match || !URL.canParse(example)) {
    return "has an entry that is neither *, nor like https://app.example.com or https://*.example.com";
  }
  const { origin, host } = new URL(example);
  return wildcard
    ? { kind: "subdomains", scheme: scheme.toLowerCase(), suffix: host.slice(1) }
    : { kind: "exact", origin };
}

function parseApiKey(entry: string, index: number): ApiKeyConfig | string {
  const parts = entry.split(":");
  const [name, secret, given] = parts.length === 1 ? [`key${index + 1}`, entry] : parts;
  if (!name || !secret || parts.length > 3) {
    return `has an entry (number ${index + 1}) that is neither secret, nor name:secret, nor name:secret:right+right`;
  }
  const wanted = given === undefined ? [...rights] : given.split("+");
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    return `has an entry (number ${index + 1}) whose secret holds what no header can carry: use visible ASCII without spaces`;
  }
  const unknown = wanted.filter((right) => !(rights as readonly string[]).includes(right));
  if (unknown.length > 0) return `has an entry (number ${index + 1}) with a right other than ${rights.join(", ")}`;
  return { name, secret, rights: wanted as Right[] };
}

/** `false`, a number of proxies in front, or their addresses. */
export type TrustProxy = false | number | readonly string[];

function parseTrustProxy(text: string): TrustProxy | undefined {
  if (text === "false") return false;
  if (/^\d{1,3}$/.test(text)) return Number(text) || false;
  const addresses = text.split(",").map((entry) => entry.trim());
  return addresses.every(isAddressOrRange) ? addresses : undefined;
}

/** True for what proxy-addr takes: an address, one with a prefix length, or one of its names for private ranges. */
function isAddressOrRange(text: string): boolean {
  if (["loopback", "linklocal", "uniquelocal"].includes(text)) return true;
  const [, address = "", prefix = "1"] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(prefix) >= 1 && Number(prefix) <= (version === 4 ? 32 : 128);
}

const variables = {
  HOST: z.string().default("0.0.0.0").meta({ description: "address to listen on" }),
  PORT: integer(0, 65535).prefault("8080").meta({ description: "public listener: /ws, health; 0 takes a free port" }),
  API_PORT: integer(0, 65535)
    .optional()
    .meta({ description: "own listener for the publisher API and /metrics, which then answer 404 on PORT" }),
  REDIS_URL: z
    .string()
    .refine((text) => parseRedisUrl(text) !== undefined, redisUrlForms)
    .optional()
    .meta({ description: "Redis that the replicas share; unset: this process alone, in memory", secret: true }),
  REDIS_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9._:/-]{1,64}$/, "is not 1 to 64 of the characters A-Z a-z 0-9 . _ : / -")
    .default("belfry")
    .meta({ description: "what every Redis key and channel begins with" }),
  REDIS_WAIT_REPLICAS: integer(0, 100).prefault("0").meta({
    description: "replicas of Redis that must have a message before it is delivered and answered 202",
  }),
  AUTH_MODE: z
    .enum(["none"], "is not none")
    .default("none")
    .meta({ description: "none: the flag is the user id, so anyone can be anyone" }),
  ALLOW_ANONYMOUS: flag.prefault("false").meta({ description: "let clients without a flag in, for broadcasts only" }),
  ALLOW_INSECURE: flag
    .prefault("false")
    .meta({ description: "with NODE_ENV=production: start although AUTH_MODE=none or no API_KEYS" }),
  API_KEYS: list(parseApiKey).optional().meta({
    description: "keys of the publisher API, comma separated: secret, name:secret or name:secret:publish+read+admin",
    secret: true,
  }),
  ALLOWED_ORIGINS: list(parseOrigin).prefault("*").meta({
    description: "origins of browser pages that may connect: *, https://app.example.com, https://*.example.com",
  }),
  MAX_PAYLOAD_BYTES: integer(1, 64 * 1024 * 1024)
    .prefault("65536")
    .meta({ description: "largest data of a message, and largest frame of a client" }),
  SEND_BUFFER_BYTES: integer(1)
    .prefault("1048576")
    .meta({ description: "bytes that may wait for one connection before it is closed as slow" }),
  COMPRESSION: flag.prefault("false").meta({
    description: "compress messages of 256 bytes to 256 KiB for clients that offer permessage-deflate",
  }),
  MAX_CONNECTIONS: integer(1).optional().meta({ description: "connections of this replica; more get 503" }),
  MAX_CONNECTIONS_PER_USER: integer(1).prefault("100").meta({ description: "connections of one user on this replica" }),
  OVER_LIMIT: z
    .enum(["reject", "replace"], "is neither reject nor replace")
    .default("reject")
    .meta({ description: "a user's connection over the limit: reject it, or replace the user's oldest" }),
  MAX_CLIENT_FRAMES_PER_SECOND: integer(1)
    .prefault("50")
    .meta({ description: "frames a second that one client may send" }),
  MAX_PUBLISHES_PER_SECOND: integer(1)
    .optional()
    .meta({ description: "messages a second that each API key may publish to this replica" }),
  HANDSHAKE_TIMEOUT_MS: milliseconds(10)
    .prefault("5000")
    .meta({ description: "time for a client to finish its request head" }),
  PING_INTERVAL_MS: milliseconds(10)
    .prefault("25000")
    .meta({ description: "longest time between two pings to a client" }),
  PONG_TIMEOUT_MS: milliseconds(10)
    .prefault("10000")
    .meta({ description: "silence of a client after PING_INTERVAL_MS that ends the connection" }),
  HISTORY_SIZE: integer(1, 1_000_000).prefault("1000").meta({ description: "messages kept of each stream" }),
  HISTORY_TTL_SECONDS: integer(1, 365 * 86400)
    .prefault("86400")
    .meta({ description: "how long a message is kept" }),
  IDEMPOTENCY_TTL_SECONDS: integer(1, 365 * 86400)
    .prefault("86400")
    .meta({ description: "how long an Idempotency-Key is remembered" }),
  MEMORY_HISTORY_BYTES: integer(0)
    .prefault("268435456")
    .meta({ description: "in memory: bytes kept of all streams together; the oldest go first" }),
  TRUST_PROXY: z
    .string()
    .transform((text, context) => {
      const value = parseTrustProxy(text);
      if (value === undefined) {
        context.addIssue({
          code: "custom",
          message: "is not false, a number of hops, or addresses such as 10.0.0.0/8",
        });
        return z.NEVER;
      }
      return value;
    })
    .prefault("false")
    .meta({ description: "whose X-Forwarded-For to believe: false, a number of hops, or addresses" }),
  DRAIN_TIMEOUT_MS: milliseconds(0)
    .prefault("30000")
    .meta({ description: "after SIGTERM: time over which connections are closed, and bound on the whole stop" }),
  LOG_LEVEL: z
    .enum(
      ["fatal", "error", "warn", "info", "debug", "trace", "silent"],
      "is not fatal, error, warn, info, debug, trace or silent",
    )
    .default("info")
    .meta({ description: "least severe level that is logged" }),
};

const schema = z.object(variables);
type Values = z.output<typeof schema>;

type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<CamelCase<Tail>>}`
  : Lowercase<S>;

/** Everything that can be configured, named as the variables are, in camel case (`MAX_PAYLOAD_BYTES`: `maxPayloadBytes`). */
export type Config = { readonly [K in keyof Values as CamelCase<K>]: Values[K] };

/** Thrown when the environment holds wrong values: one problem a line, secrets left out. */
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
  const given = Object.fromEntries(Object.keys(variables).map((name) => [name, env[name] || undefined]));
  const result = schema.safeParse(given);
  const problems = result.success ? [] : result.error.issues.map((issue) => describe(issue, given));
  if (result.success && result.data.API_PORT && result.data.API_PORT === result.data.PORT) {
    problems.push("API_PORT: is the same as PORT; leave it unset to serve everything on one port");
  }
  if (result.success && result.data.REDIS_WAIT_REPLICAS > 0 && !result.data.REDIS_URL) {
    problems.push("REDIS_WAIT_REPLICAS: is set without REDIS_URL; in memory there is nothing to wait for");
  }
  if (env["NODE_ENV"] === "production" && given["ALLOW_INSECURE"] !== "true") {
    if ((given["AUTH_MODE"] ?? "none") === "none") {
      problems.push(
        "AUTH_MODE: is none in production, so anyone can be anyone; ALLOW_INSECURE=true starts all the same",
      );
    }
    if (!given["API_KEYS"]) {
      problems.push("API_KEYS: is unset in production, so anyone can publish; ALLOW_INSECURE=true starts all the same");
    }
  }
  if (!result.success || problems.length > 0) throw new ConfigError(problems);
  return Object.fromEntries(Object.entries(result.data).map(([name, value]) => [camelCase(name), value])) as Config;
}

function camelCase(name: string): string {
  return name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

function describe(issue: z.core.$ZodIssue, given: Record<string, string | undefined>): string {
  const name = String(issue.path[0]);
  const secret = (variables[name as keyof typeof variables].meta() as Meta | undefined)?.secret;
  const shown = secret ? "its value" : JSON.stringify(given[name]);
  return `${name}: ${shown} ${issue.message}`;
}

/** A row of the table of variables. */
export interface VariableDoc {
  readonly name: string;
  /** The default as one would write it; `unset` where there is none. */
  readonly default: string;
  readonly description: string;
}

/** Every variable with default and meaning, for `--help` and the docs. */
export function describeVariables(): VariableDoc[] {
  return Object.entries(variables).map(([name, variable]) => {
    const { default: inner, prefault } = z.toJSONSchema(variable, { io: "input", unrepresentable: "any" }) as {
      default?: unknown;
      prefault?: unknown;
    };
    const preset = inner ?? prefault;
    return {
      name,
      default: preset === undefined ? "unset" : String(preset),
      description: (variable.meta() as Meta).description,
    };
  });
}
