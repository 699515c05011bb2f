import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { expect, inject, onTestFinished } from "vitest";
import { Belfry, type BelfryOptions } from "../../src/index.ts";
import { marker, SecretWatch } from "./secrets.ts";

/** A service under test. */
export interface Service {
  readonly belfry: Belfry;
  readonly port: number;
  /** Calls the HTTP interface; `body` is sent as JSON, or as it is when it is a text. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Reads one value from /metrics, such as `belfry_connections{transport="ws"}`; 0 when it is not there. */
  metric(sample: string): Promise<number>;
  /** What was logged, as text. */
  readonly logs: string[];
}

/** An HTTP answer. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back
  readonly json: any;
}

/** Starts a service on a free port; it ends with the test. */
export async function startService(options: BelfryOptions = {}): Promise<Service> {
  const logs: string[] = [];
  const log = pino({ level: options.logLevel ?? "debug" }, { write: (line: string) => void logs.push(line) });
  const watch = new SecretWatch();
  watch.check([options.jwtSecret, ...(options.apiKeys ?? []).map(({ secret }) => secret)]);
  watch.keep(options.webhookSecret);
  const belfry = await Belfry.start({ port: 0, host: "127.0.0.1", log, ...options });
  const port = belfry.port ?? 0;
  const apiPort = belfry.apiPort ?? port;
  onTestFinished(async () => {
    // Not where the test has closed the service, or made it serve TLS.
    const metrics = await callerOf(apiPort)("GET", "/metrics").catch(() => undefined);
    await belfry.close();
    watch.expectNone("the logs", logs);
    watch.expectNone("the metrics", metrics ? [metrics.text] : []);
  });
  return { belfry, port, logs, call: callerOf(port, watch), metric: metricOf(apiPort) };
}

/** Starts services that share the tests' Redis under a prefix of their own. */
export async function startReplicas(count: number, options: BelfryOptions = {}): Promise<Service[]> {
  const shared = { redisUrl: inject("redisUrl"), redisPrefix: uniquePrefix(), ...options };
  const services = await Promise.all(Array.from({ length: count }, () => startService(shared)));
  for (const { call } of services) await until(async () => (await call("GET", "/readyz")).status === 200);
  return services;
}

/** A Redis prefix that no other test uses. */
export function uniquePrefix(): string {
  return `test-${randomBytes(6).toString("hex")}`;
}

/**
 * Calls the HTTP interface at a port.
 *
 * @param watch remembers what is sent; and no error may hold anything of it
 */
export function callerOf(port: number, watch?: SecretWatch): Service["call"] {
  return async (method, path, body, headers = {}) => {
    watch?.remember(body, headers["authorization"]);
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: {
        cookie: `session=${marker}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.status >= 400) watch?.expectNone(`the answer to ${method} ${path}`, [text]);
    const isJson = response.headers.get("content-type")?.includes("json");
    return { status: response.status, headers: response.headers, text, json: isJson && text ? JSON.parse(text) : null };
  };
}

function metricOf(port: number): Service["metric"] {
  return async (sample) => {
    const { text } = await callerOf(port)("GET", "/metrics");
    const line = text.split("\n").find((one) => one.startsWith(`${sample} `));
    return line ? Number(line.slice(sample.length + 1)) : 0;
  };
}

/** Waits until a condition holds; fails after a time in ms. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never came true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Proves that a client was sent nothing more: the next frame is the broadcast that is sent now. */
export async function expectNothingMore(
  client: { next(): Promise<object> },
  { call }: Pick<Service, "call">,
): Promise<void> {
  await call("POST", "/broadcast", { data: "barrier" });
  expect(await client.next()).toMatchObject({ type: "message", data: "barrier" });
}
