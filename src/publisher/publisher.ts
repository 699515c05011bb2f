import { BelfryPublishError } from "./errors.ts";

/** Settings of {@link BelfryPublisher}. */
export interface PublisherOptions {
  /** Secret of an API key; default: none. */
  readonly apiKey?: string;
  /** How often a call is made at most, the first time included. Default: 5. */
  readonly maxAttempts?: number;
  /** Time for one answer, in ms; for a request, beside its own time. Default: 10,000. */
  readonly timeoutMs?: number;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

/** What may be said of a message beside its data. */
export interface PublishOptions {
  /** What happened, for the receiving code: 1 to 128 characters. */
  readonly event?: string;
  /** Seconds for which it matters; 0: live only, not stored. */
  readonly ttl?: number;
  /** Of the messages in one stream with the same key only the newest matters. */
  readonly collapse?: string;
  /** Names this publish, so that it can be repeated by another process too. Default: one of its own. */
  readonly idempotencyKey?: string;
  /** Gives up. */
  readonly signal?: AbortSignal;
}

/** Where a message of a batch goes. */
export type Recipient = "broadcast" | { readonly user: string } | { readonly topic: string };

/** A message of a batch. */
export interface BatchMessage extends Omit<PublishOptions, "idempotencyKey" | "signal"> {
  readonly to: Recipient;
  readonly data: unknown;
}

/** What became of a message. */
export interface Receipt {
  readonly id: string;
  /** Connections of one replica that it was handed to, plus the number of other replicas. */
  readonly receivers: number;
}

/** What became of a message of a batch; in the order of the batch. */
export type BatchResult =
  | Receipt
  | { readonly error: { readonly type: string; readonly status: number; readonly detail: string } };

/** The first reply to a request. */
export interface Reply {
  readonly data: unknown;
  /** Id of the connection that it came from. */
  readonly connection: string;
}

/** What a call sends, and how it may be repeated. */
interface Call {
  readonly path: string;
  readonly body: unknown;
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/** Time for one answer when the caller does not say, in ms. */
const defaultTimeoutMs = 10_000;

/** Window of the first pause, in ms; it doubles up to the longest. */
const firstPauseMs = 200;
const maxPauseMs = 10_000;

/** How long a user is asked when the caller does not say, in ms. */
const defaultRequestTimeoutMs = 10_000;

/**
 * Publishes by the service's HTTP API. What may be repeated without harm is repeated by itself: publishes carry an
 * idempotency key, so that none is there twice, whatever was lost on the way.
 */
export class BelfryPublisher {
  readonly #base: string;
  readonly #options: PublisherOptions;
  readonly #timeoutMs: number;

  /** @param url of the service, such as `http://belfry:8080` */
  constructor(url: string | URL, options: PublisherOptions = {}) {
    this.#base = new URL(url).href.replace(/\/$/, "");
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  }

  /** Sends to everyone. Rejects with BelfryPublishError. */
  broadcast(data: unknown, options?: PublishOptions): Promise<Receipt> {
    return this.#publish("/broadcast", data, options);
  }

  /** Sends to one user, on all of the user's connections. Rejects with BelfryPublishError. */
  toUser(user: string, data: unknown, options?: PublishOptions): Promise<Receipt> {
    return this.#publish(`/users/${encodeURIComponent(user)}/messages`, data, options);
  }

  /** Sends to the subscribers of a topic. Rejects with BelfryPublishError. */
  toTopic(topic: string, data: unknown, options?: PublishOptions): Promise<Receipt> {
    return this.#publish(`/topics/${encodeURIComponent(topic)}/messages`, data, options);
  }

  /** Sends up to 1,000 messages, each on its own: look for `error` in the results. Rejects with BelfryPublishError. */
  async batch(
    messages: readonly BatchMessage[],
    { idempotencyKey = crypto.randomUUID(), signal }: Pick<PublishOptions, "idempotencyKey" | "signal"> = {},
  ): Promise<readonly BatchResult[]> {
    const call = { path: "/batch", body: { messages }, idempotencyKey, signal, timeoutMs: this.#timeoutMs };
    const answer = await this.#call(call);
    return (answer as { results: BatchResult[] }).results;
  }

  /**
   * Asks a user and resolves with the first reply. It is not repeated when its answer was lost: the user may have been asked.
   * Rejects with BelfryPublishError: `not_found` when the user is not connected, `no_reply` when nobody replied in time.
   *
   * @param options `timeoutMs`: how long the user is asked; default 10,000
   */
  async request(
    user: string,
    data: unknown,
    {
      event,
      timeoutMs = defaultRequestTimeoutMs,
      signal,
    }: { event?: string; timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<Reply> {
    const path = `/users/${encodeURIComponent(user)}/requests`;
    const body = { data, event, timeout: timeoutMs };
    const call = { path, body, signal, timeoutMs: timeoutMs + this.#timeoutMs };
    return (await this.#call(call)) as Reply;
  }

  async #publish(
    path: string,
    data: unknown,
    { idempotencyKey = crypto.randomUUID(), signal, event, ttl, collapse }: PublishOptions = {},
  ): Promise<Receipt> {
    const body = { data, event, ttl, collapse };
    return (await this.#call({ path, body, idempotencyKey, signal, timeoutMs: this.#timeoutMs })) as Receipt;
  }

  async #call(call: Call): Promise<unknown> {
    const { maxAttempts = 5 } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#attempt(call);
      if (!(outcome instanceof BelfryPublishError)) return outcome.json;
      if (attempt >= maxAttempts || call.signal?.aborted || !mayBeRepeated(call, outcome)) throw outcome;
      await pause(outcome, attempt, call.signal);
    }
  }

  async #attempt({
    path,
    body,
    idempotencyKey,
    signal,
    timeoutMs,
  }: Call): Promise<{ json: unknown } | BelfryPublishError> {
    const { apiKey, fetch: send = fetch } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await send(this.#base + path, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
          ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
        },
        body: JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      if (response.ok) return { json: await response.json() };
      return await BelfryPublishError.of(response);
    } catch (cause) {
      return new BelfryPublishError("unreachable", "the service could not be reached", { cause });
    }
  }
}

/** A refusal is final; what was not answered may have been done, and is repeated only under a key. */
function mayBeRepeated({ idempotencyKey }: Call, { code, status }: BelfryPublishError): boolean {
  if (code === "too_many") return true;
  const isOpen = status === undefined || status === 502 || status === 503 || (status === 504 && code !== "no_reply");
  return isOpen && idempotencyKey !== undefined;
}

/** Waits as long as the service asks for, and a random part of a window, so that many do not come back together. */
async function pause(
  { retryAfterSeconds = 0 }: BelfryPublishError,
  attempt: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const windowMs = Math.min(maxPauseMs, firstPauseMs * 2 ** attempt);
  const timer = setTimeout(resolve, 1000 * retryAfterSeconds + Math.random() * windowMs);
  signal?.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
