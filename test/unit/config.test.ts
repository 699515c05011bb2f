import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type Config, ConfigError, checkConfig, readConfig } from "../../src/config.ts";
import { describeVariables } from "../../src/config-variables.ts";
import { hush, marker } from "../support/secrets.ts";

/** What the environment is told to be wrong with. */
function problems(env: Record<string, string>): readonly string[] {
  return problemsOf(() => readConfig(env));
}

function problemsOf(check: () => unknown): readonly string[] {
  try {
    check();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

/** The defaults that users were promised. */
const promised: Record<string, string> = {
  HOST: "0.0.0.0",
  PORT: "8080",
  API_PORT: "unset",
  REDIS_URL: "unset",
  REDIS_PREFIX: "belfry",
  REDIS_WAIT_REPLICAS: "0",
  REVOCATION_TTL_SECONDS: "2592000",
  AUTH_MODE: "none",
  ALLOW_ANONYMOUS: "false",
  JWT_SECRET: "unset",
  JWT_PUBLIC_KEY: "unset",
  JWT_JWKS_URL: "unset",
  JWT_ISSUER: "unset",
  JWT_AUDIENCE: "unset",
  JWT_USER_CLAIM: "sub",
  JWT_TOPICS_CLAIM: "topics",
  PUBLIC_TOPICS: "unset",
  PRESENCE_TOPICS: "unset",
  SUBSCRIBE_HOOK_URL: "unset",
  MAX_SUBSCRIPTIONS: "128",
  API_KEYS: "unset",
  API_KEYS_FILE: "unset",
  ALLOWED_ORIGINS: "*",
  MAX_PAYLOAD_BYTES: "65536",
  SEND_BUFFER_BYTES: "1048576",
  MAX_CONNECTIONS: "unset",
  MAX_CONNECTIONS_PER_USER: "100",
  OVER_LIMIT: "reject",
  MAX_CLIENT_FRAMES_PER_SECOND: "50",
  MAX_PUBLISHES_PER_SECOND: "unset",
  HANDSHAKE_TIMEOUT_MS: "5000",
  PING_INTERVAL_MS: "25000",
  PONG_TIMEOUT_MS: "10000",
  MAX_CONNECTION_AGE_MS: "unset",
  HISTORY_SIZE: "1000",
  HISTORY_TTL_SECONDS: "86400",
  IDEMPOTENCY_TTL_SECONDS: "86400",
  MEMORY_HISTORY_BYTES: "268435456",
  COMPRESSION: "false",
  TLS_CERT: "unset",
  TLS_KEY: "unset",
  TRUST_PROXY: "false",
  WEBHOOK_URL: "unset",
  WEBHOOK_SECRET: "unset",
  WEBHOOK_UNDELIVERED_SECONDS: "60",
  DRAIN_TIMEOUT_MS: "30000",
  LOG_LEVEL: "info",
  ALLOW_INSECURE: "false",
};

describe("describeVariables", () => {
  it.each(describeVariables())("gives $name the promised default", ({ name, default: value }) => {
    expect(value).toBe(promised[name]);
  });

  it("says what each variable is for", () => {
    for (const { description } of describeVariables()) expect(description).toMatch(/\w{3}/);
  });

  it("shows defaults that, written out, mean the same as leaving the variable unset", () => {
    const rows = describeVariables().filter((row) => row.default !== "unset");
    expect(readConfig(Object.fromEntries(rows.map((row) => [row.name, row.default])))).toEqual(readConfig({}));
  });
});

describe("readConfig", () => {
  it("takes defaults for everything that is not set", () => {
    expect(readConfig({})).toMatchObject({
      host: "0.0.0.0",
      port: 8080,
      apiPort: undefined,
      redisUrl: undefined,
      allowAnonymous: false,
      apiKeys: undefined,
      allowedOrigins: [{ kind: "any" }],
      maxPayloadBytes: 65536,
      maxConnections: undefined,
      maxConnectionsPerUser: 100,
      overLimit: "reject",
      memoryHistoryBytes: 2 ** 28,
      trustProxy: false,
      logLevel: "info",
    });
  });

  it("takes the empty string as unset", () => {
    const env = Object.fromEntries(describeVariables().map(({ name }) => [name, ""]));
    expect(readConfig(env)).toEqual(readConfig({}));
  });

  it("takes what is set, and nothing of what else stands in the environment", () => {
    const config = readConfig({
      PORT: "0",
      API_PORT: "65535",
      REDIS_URL: "rediss://user:pass@redis:6380/1",
      ALLOW_ANONYMOUS: "true",
      OVER_LIMIT: "replace",
      MAX_CONNECTIONS: "5",
      DRAIN_TIMEOUT_MS: "0",
      BELFRY_PORT: "tcp://10.0.0.1:80",
      PATH: "/bin",
    });
    expect(config).toMatchObject({ port: 0, apiPort: 65535, redisUrl: "rediss://user:pass@redis:6380/1" });
    expect(config).toMatchObject({ allowAnonymous: true, overLimit: "replace", maxConnections: 5, drainTimeoutMs: 0 });
    expect(Object.keys(config).toSorted()).toEqual(Object.keys(readConfig({})).toSorted());
  });

  it.each([
    ["PORT", "65536"],
    ["PORT", "80a"],
    ["PORT", "-1"],
    ["PORT", " 80"],
    ["PORT", "8e1"],
    ["PORT", "80.0"],
    ["API_PORT", "x"],
    ["REDIS_URL", "http://redis:6379"],
    ["REDIS_URL", "redis"],
    ["REDIS_PREFIX", "with space"],
    ["REDIS_PREFIX", "a{b}"],
    ["REDIS_PREFIX", "a".repeat(65)],
    ["AUTH_MODE", "basic"],
    ["ALLOW_ANONYMOUS", "yes"],
    ["ALLOW_ANONYMOUS", "TRUE"],
    ["MAX_PAYLOAD_BYTES", "0"],
    ["MAX_CONNECTIONS", "0"],
    ["MAX_CONNECTIONS_PER_USER", "0"],
    ["OVER_LIMIT", "drop"],
    ["PING_INTERVAL_MS", "2147483648"],
    ["HISTORY_SIZE", "0"],
    ["SEND_BUFFER_BYTES", "9007199254740993"],
    ["LOG_LEVEL", "verbose"],
  ])("refuses %s=%j and says so", (name, value) => {
    const found = problems({ [name]: value });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^${name}: .{8,}`));
  });

  it("names every wrong variable at once, each on a line of its own", () => {
    const found = problems({ PORT: "x", HISTORY_SIZE: "0", API_KEYS: ":", LOG_LEVEL: "loud" });
    expect(found.map((line) => line.split(":", 1)[0])).toEqual(["PORT", "API_KEYS", "HISTORY_SIZE", "LOG_LEVEL"]);
    expect(new ConfigError(found).message.split("\n")).toEqual(found);
  });

  it("shows the wrong value, unless it is a secret", () => {
    expect(problems({ PORT: "8O8O" })[0]).toContain('"8O8O"');
    const secrets = {
      REDIS_URL: "http://user:s3cret@redis",
      API_KEYS: "a:b:s3cret,s3cret:x:y:z",
      JWT_PUBLIC_KEY: "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----",
      JWT_JWKS_URL: "https://user:s3cret@issuer/jwks",
    };
    expect(problems(secrets)).toHaveLength(5);
    expect(problems(secrets).join()).not.toContain("s3cret");
  });
});

describe("values that are fine each by itself", () => {
  const nowhere = "/nowhere";
  const contradictions: [string, Record<string, string>, Partial<Config>, string][] = [
    ["one port for two listeners", { PORT: "80", API_PORT: "80" }, { port: 80, apiPort: 80 }, "API_PORT"],
    ["replicas of no Redis", { REDIS_WAIT_REPLICAS: "1" }, { redisWaitReplicas: 1 }, "REDIS_WAIT_REPLICAS"],
    ["tokens and no key", { AUTH_MODE: "jwt" }, { authMode: "jwt" }, "AUTH_MODE"],
    [
      "tokens and two keys",
      { AUTH_MODE: "jwt", JWT_SECRET: hush("two"), JWT_JWKS_URL: "https://x" },
      { authMode: "jwt", jwtSecret: hush("two"), jwtJwksUrl: new URL("https://x") },
      "AUTH_MODE",
    ],
    ["a key and no tokens", { JWT_SECRET: hush("lone") }, { jwtSecret: hush("lone") }, "JWT_SECRET"],
    ["a certificate without a key", { TLS_CERT: nowhere }, { tlsCert: nowhere }, "TLS_KEY"],
    ["a key without a certificate", { TLS_KEY: nowhere }, { tlsKey: nowhere }, "TLS_CERT"],
    ["a file of keys that is not there", { API_KEYS_FILE: nowhere }, { apiKeysFile: nowhere }, "API_KEYS_FILE"],
    [
      "keys here and in a file",
      { API_KEYS: hush("here"), API_KEYS_FILE: nowhere },
      { apiKeys: [{ name: "a", secret: hush("here"), rights: ["read"] }], apiKeysFile: nowhere },
      "API_KEYS_FILE",
    ],
  ];

  it.each(contradictions)("are refused where they say %s, read or put together", (_, env, options, name) => {
    const found = problems(env);
    expect(found.map((line) => line.split(":", 1)[0])).toEqual([name]);
    expect(found.join()).not.toContain(marker);
    expect(problemsOf(() => checkConfig({ ...readConfig({}), ...options }))).toEqual(found);
  });

  it("are not shown where a document stands instead of its path", () => {
    const pem = `-----BEGIN PRIVATE KEY-----\n${hush("key")}`;
    const expected = ["TLS_CERT", "TLS_KEY"].map((name) => `${name}: is a PEM document; set it to the path of a file`);
    const found = problems({ TLS_CERT: pem, TLS_KEY: pem });
    expect(found).toEqual(expected.map((line) => `${line} that holds it`));
  });

  it("are all named where several contradict each other", () => {
    const config = { ...readConfig({}), redisWaitReplicas: 1, tlsCert: nowhere, apiKeysFile: nowhere };
    expect(problemsOf(() => checkConfig(config))).toHaveLength(3);
  });

  it("go together by default, and with two listeners that take any free port", () => {
    checkConfig(readConfig({}));
    checkConfig(readConfig({ PORT: "0", API_PORT: "0" }));
  });
});

describe("in production", () => {
  const env = { NODE_ENV: "production" };

  it("neither AUTH_MODE=none nor missing API_KEYS start", () => {
    expect(problems(env).map((line) => line.split(":", 1)[0])).toEqual(["AUTH_MODE", "API_KEYS"]);
    expect(problems({ ...env, AUTH_MODE: "none", API_KEYS: "" })).toHaveLength(2);
    const file = fileURLToPath(new URL("../support/api-keys.txt", import.meta.url));
    expect(problems({ ...env, API_KEYS_FILE: file }).map((line) => line.split(":", 1)[0])).toEqual(["AUTH_MODE"]);
    expect(problems({ ...env, API_KEYS: "k" }).map((line) => line.split(":", 1)[0])).toEqual(["AUTH_MODE"]);
  });

  it("ALLOW_INSECURE=true starts all the same, and nothing else does", () => {
    expect(problems({ ...env, ALLOW_INSECURE: "true" })).toEqual([]);
    expect(problems({ ...env, ALLOW_INSECURE: "false" })).toHaveLength(2);
  });

  it("ordinary mistakes are reported beside", () => {
    expect(problems({ ...env, PORT: "x" })).toHaveLength(3);
  });
});

describe("webhooks", () => {
  const secret = `whsec_${Buffer.alloc(24).toString("base64")}`;
  const env = { WEBHOOK_URL: "https://user:pass@example.com/hooks?x=1", WEBHOOK_SECRET: secret };

  it.each([secret, `${secret},${secret}`, `${secret}, ${secret}`])("take the secret %s", (WEBHOOK_SECRET) => {
    expect(readConfig({ ...env, WEBHOOK_SECRET }).webhookUrl?.href).toBe(env.WEBHOOK_URL);
  });

  it.each([
    "x",
    secret.slice(6),
    secret.slice(0, -4),
    `${secret},`,
    `${secret} ${secret}`,
    "whsec_",
    `whsec_-${secret}`,
  ])("do not take the secret %s, and do not quote it", (WEBHOOK_SECRET) => {
    const expected = "WEBHOOK_SECRET: its value is not whsec_ and the base64 of 24 bytes or more";
    expect(problems({ ...env, WEBHOOK_SECRET })).toEqual([expected]);
  });

  it("need a secret, and a history that lasts longer than is waited", () => {
    expect(problems({ WEBHOOK_URL: env.WEBHOOK_URL })).toEqual([
      expect.stringMatching(/^WEBHOOK_SECRET: is unset, but/),
    ]);
    expect(problems({ ...env, HISTORY_TTL_SECONDS: "60" })).toEqual([
      expect.stringMatching(/^WEBHOOK_UNDELIVERED_SECONDS: is not less than HISTORY_TTL_SECONDS/),
    ]);
    expect(problems({ WEBHOOK_SECRET: secret, HISTORY_TTL_SECONDS: "60" })).toEqual([]);
  });

  it.each(["example.com", "ftp://u:secret@example.com", "redis://x"])("do not go to %s", (WEBHOOK_URL) => {
    expect(problems({ ...env, WEBHOOK_URL })).toEqual(["WEBHOOK_URL: its value is not an http or https URL"]);
  });
});
