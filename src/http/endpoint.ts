import { createHash, randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ApiKeys } from "../auth/api-keys.ts";
import type { Idempotency } from "../broker/broker.ts";
import { endOfTurn } from "../end-of-turn.ts";
import { BelfryError, toBelfryError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { isName, nameExpected } from "../protocol/user-ids.ts";
import { checkHead } from "../raw-http.ts";
import { readJson } from "./body.ts";
import type { PublishLimiter } from "./publish-limiter.ts";
import type { Answer, Call, Route } from "./route.ts";
import { validate } from "./schemas.ts";

/** What all endpoints share. */
export interface EndpointContext {
  readonly keys: ApiKeys;
  readonly limit: PublishLimiter | undefined;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** What a caller may name a request, so that it can be found in the logs of both sides. */
const requestIdPattern = /^[\w.:/+=-]{1,128}$/;

/**
 * Serves one request: checks key, limits and input, calls the route's handler, and writes its answer or, as RFC 9457
 * problem details, its error. It never throws and never leaves a request unanswered.
 *
 * @param route the route, or the error to answer where there is none
 * @param params values of the path's parameters, decoded
 */
export async function serve(
  context: EndpointContext,
  request: IncomingMessage,
  response: ServerResponse,
  route: Route | BelfryError,
  params: Readonly<Record<string, string>> = {},
): Promise<void> {
  const start = performance.now();
  const given = request.headers["x-request-id"];
  const requestId = typeof given === "string" && requestIdPattern.test(given) ? given : randomUUID();
  const label = route instanceof BelfryError ? "other" : route.path;
  const method = request.method ?? "";
  let answer: Answer | undefined;
  let headers: Record<string, string> = {};
  try {
    checkHead(request);
    if (route instanceof BelfryError) throw route;
    for (const [name, value] of Object.entries(route.cors?.(request.headers.origin) ?? {})) {
      response.setHeader(name, value);
    }
    answer = await call(context, request, response, route, params);
  } catch (thrown) {
    const error = toBelfryError(thrown);
    headers = error.toHeaders();
    answer = { status: error.status, body: error.toProblem(), contentType: "application/problem+json" };
    const { level, code, message, cause } = error;
    // Only what is our own fault needs its stack; while Redis is away each refusal is one short line.
    const err = level === "error" ? { err: cause } : {};
    context.log[level](
      { requestId, method, route: label, status: error.status, code, detail: message, ...err },
      "request failed",
    );
  }
  if (answer) {
    await endOfTurn();
    write(response, answer, { ...headers, "X-Request-Id": requestId });
  }
  const status = answer?.status ?? response.statusCode;
  const seconds = (performance.now() - start) / 1000;
  context.metrics.httpRequestSeconds.observe({ route: label, method, status }, seconds);
  if (context.log.isLevelEnabled("debug")) {
    const id = (answer?.body as { id?: unknown } | null | undefined)?.id;
    context.log.debug({ requestId, method, route: label, status, seconds, id }, "request served");
  }
}

async function call(
  { keys, limit }: EndpointContext,
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
  params: Readonly<Record<string, string>>,
): Promise<Answer | undefined> {
  const key = route.right && keys.authorize(request.headers.authorization, route.right);
  for (const name in params) {
    if (isName(params[name] ?? "")) continue;
    const errors = [{ path: name, message: nameExpected }];
    throw new BelfryError("invalid", "the path is not valid", { errors });
  }
  const hungUp = () => signalOf(response);
  const query = queryOf(request, route);
  const input: Call = { request, response, params, query, body: undefined, text: "", hungUp };
  if (!route.body) return route.handle(input);
  const { schema, maxBytes, countMessages } = route.body;
  const { value, text } = await readJson(request, maxBytes);
  const body = validate(schema, value, "the body");
  if (limit && countMessages && key) await limit(key.name, countMessages(body));
  const idempotency = countMessages && idempotencyOf(request, [route.path, params, text]);
  return route.handle({ ...input, body, text, idempotency });
}

/** Aborted when the caller hangs up. After the answer it is too: then nobody listens to it any more. */
function signalOf(response: ServerResponse): AbortSignal {
  const caller = new AbortController();
  if (response.destroyed) caller.abort();
  else response.once("close", () => caller.abort());
  return caller.signal;
}

function queryOf({ url = "" }: IncomingMessage, { query }: Route): Readonly<Record<string, string>> {
  // No parameter must be given, so nothing is parsed for most calls.
  if (!query || !url.includes("?")) return {};
  const given = Object.fromEntries(new URLSearchParams(url.slice(url.indexOf("?") + 1)));
  return validate(query, given, "the query") as Readonly<Record<string, string>>;
}

/** What the `Idempotency-Key` header says; the fingerprint stands for what the request says, however its path is spelt. */
function idempotencyOf({ headers }: IncomingMessage, said: readonly unknown[]): Idempotency | undefined {
  const key = headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (typeof key === "string" && isName(key)) {
    return { key, fingerprint: createHash("sha256").update(JSON.stringify(said)).digest("base64url") };
  }
  const errors = [{ path: "Idempotency-Key", message: nameExpected }];
  throw new BelfryError("invalid", "the header Idempotency-Key is not valid", { errors });
}

function write(response: ServerResponse, answer: Answer, headers: Record<string, string>): void {
  const text = answer.contentType && typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body);
  response.writeHead(answer.status, {
    "Content-Type": answer.contentType ?? "application/json",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...answer.headers,
    ...headers,
  });
  response.end(text);
}
