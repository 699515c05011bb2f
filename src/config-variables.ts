import { z } from "zod";
import {
  flag,
  integer,
  list,
  milliseconds,
  parseApiKey,
  parsedBy,
  parseHttpUrl,
  parseJwksUrl,
  parseOrigin,
  parsePublicKey,
  parseTrustProxy,
  parseWebhookSecrets,
  type TrustProxy,
  topicPatterns,
  webhookSecretForm,
} from "./config-values.ts";
import { parseRedisUrl, redisUrlForms } from "./redis-url.ts";

/** What `belfry serve --help` and the docs say about a variable, beside its default. */
interface Meta {
  readonly description: string;
  /** The value is not shown, not even when it is wrong. */
  readonly secret?: true;
}

const variables = {
  HOST: z.string().default("0.0.0.0").meta({ description: "address to listen on" }),
  PORT: integer(0, 65535)
    .prefault("8080")
    .meta({ description: "public listener: /ws, /sse, health; 0 takes a free port" }),
  API_PORT: integer(0, 65535)
    .optional()
    .meta({ description: "own listener for the publisher API and /metrics, which then answer 404 on PORT" }),
  TLS_CERT: z.string().optional().meta({
    description: "file of the certificate, in PEM, with which both listeners serve TLS; read again when it changes",
  }),
  TLS_KEY: z.string().optional().meta({ description: "file of the certificate's private key, in PEM" }),
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
    .enum(["none", "jwt"], "is neither none nor jwt")
    .default("none")
    .meta({ description: "none: the flag is the user id, so anyone can be anyone; jwt: it is a signed token" }),
  JWT_SECRET: z
    .string()
    .refine((text) => !text.includes("-----BEGIN"), "is a PEM document; a public key belongs into JWT_PUBLIC_KEY")
    .optional()
    .meta({ description: "secret that tokens are signed with (HS256, HS384, HS512), 32 bytes or more", secret: true }),
  // Secret as well: what is refused may be the private key.
  JWT_PUBLIC_KEY: parsedBy(parsePublicKey).optional().meta({
    description: "public key, in PEM, of the key that tokens are signed with (RS, PS, ES, EdDSA)",
    secret: true,
  }),
  JWT_JWKS_URL: parsedBy(parseJwksUrl)
    .optional()
    // A mistake here may be a password within the URL.
    .meta({ description: "where the issuer publishes its public keys as a JWKS", secret: true }),
  JWT_ISSUER: z.string().optional().meta({ description: "iss that tokens must have; unset: any" }),
  JWT_AUDIENCE: z.string().optional().meta({ description: "aud that tokens must have; unset: any" }),
  JWT_USER_CLAIM: z.string().default("sub").meta({ description: "claim that holds the user id" }),
  JWT_TOPICS_CLAIM: z
    .string()
    .default("topics")
    .meta({ description: "claim that lists the topics that the user may subscribe to, such as orders.*" }),
  REVOCATION_TTL_SECONDS: integer(1, 365 * 86400)
    .prefault("2592000")
    .meta({ description: "how long a revocation is kept: at least as long as a token lives" }),
  ALLOW_ANONYMOUS: flag
    .prefault("false")
    .meta({ description: "let clients without a flag in, for broadcasts and PUBLIC_TOPICS only" }),
  PUBLIC_TOPICS: topicPatterns
    .optional()
    .meta({ description: "topics that every client may subscribe to, comma separated: news, public.*" }),
  SUBSCRIBE_HOOK_URL: parsedBy(parseHttpUrl).optional().meta({
    description:
      "where the backend is asked who may subscribe to topics that neither PUBLIC_TOPICS nor the token names",
    secret: true,
  }),
  PRESENCE_TOPICS: topicPatterns
    .optional()
    .meta({ description: "topics that tell their subscribers who joins and who leaves: room.*" }),
  ALLOW_INSECURE: flag
    .prefault("false")
    .meta({ description: "with NODE_ENV=production: start although AUTH_MODE=none or no API keys" }),
  API_KEYS: list(parseApiKey).optional().meta({
    description: "keys of the publisher API, comma separated: secret, name:secret or name:secret:publish+read+admin",
    secret: true,
  }),
  API_KEYS_FILE: z.string().optional().meta({
    description: "instead of API_KEYS: file of such keys, one a line or comma separated; read again when it changes",
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
  MAX_CONNECTIONS_PER_USER: integer(1)
    .prefault("100")
    .meta({ description: "connections of one user, over all replicas" }),
  MAX_SUBSCRIPTIONS: integer(1, 10_000)
    .prefault("128")
    .meta({ description: "topics that one connection may subscribe to, and that one user may be subscribed to" }),
  OVER_LIMIT: z
    .enum(["reject", "replace"], "is neither reject nor replace")
    .default("reject")
    .meta({ description: "a user's connection over the limit: reject it, or replace the user's oldest" }),
  MAX_CLIENT_FRAMES_PER_SECOND: integer(1)
    .prefault("50")
    .meta({ description: "frames a second that one client may send" }),
  MAX_PUBLISHES_PER_SECOND: integer(1)
    .optional()
    .meta({ description: "messages a second that each API key may publish, to all replicas together" }),
  HANDSHAKE_TIMEOUT_MS: milliseconds(10)
    .prefault("5000")
    .meta({ description: "time for a client to finish its request head; before that, for its TLS handshake" }),
  PING_INTERVAL_MS: milliseconds(10)
    .prefault("25000")
    .meta({ description: "longest time between two pings to a client" }),
  PONG_TIMEOUT_MS: milliseconds(10)
    .prefault("10000")
    .meta({ description: "silence of a client after PING_INTERVAL_MS that ends the connection" }),
  MAX_CONNECTION_AGE_MS: milliseconds(1000)
    .optional()
    .meta({ description: "time after 80 to 100 % of which a connection is closed with 1001, to come back elsewhere" }),
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
  TRUST_PROXY: parsedBy<TrustProxy>(parseTrustProxy)
    .prefault("false")
    .meta({ description: "whose X-Forwarded-For to believe: false, a number of hops, or addresses" }),
  WEBHOOK_URL: parsedBy(parseHttpUrl).optional().meta({
    description: "where the backend is told of connections, client messages and what reached nobody",
    secret: true,
  }),
  WEBHOOK_SECRET: z
    .string()
    .refine((text) => typeof parseWebhookSecrets(text) !== "string", webhookSecretForm)
    .optional()
    .meta({
      description: "whsec_ and base64 of 24 bytes or more; two, comma separated, while it is replaced",
      secret: true,
    }),
  WEBHOOK_UNDELIVERED_SECONDS: integer(1, 86400)
    .prefault("60")
    .meta({ description: "time after which the backend is told of a user's message that no connection was given" }),
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

/** Reads each variable by itself. */
export const schema = z.object(variables);
type Values = z.output<typeof schema>;

type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<CamelCase<Tail>>}`
  : Lowercase<S>;

/** Everything that can be configured, named as the variables are, in camel case (`MAX_PAYLOAD_BYTES`: `maxPayloadBytes`). */
export type Config = { readonly [K in keyof Values as CamelCase<K>]: Values[K] };

/** The values of the variables by the names of the configuration. */
export function configOf(values: Values): Config {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [camelCase(name), value])) as Config;
}

function camelCase(name: string): string {
  return name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Whether the variable's value must not be shown. */
export function isSecret(name: string): boolean {
  return (variables[name as keyof typeof variables].meta() as Meta | undefined)?.secret === true;
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
