import { randomUUID } from "node:crypto";
import type { Log } from "../log.ts";
import { defaultRetryPolicy, deliver, type Result, type RetryPolicy } from "./deliver.ts";
import { type EventType, Lane, type LaneLimits, type WebhookEvent } from "./lane.ts";
import { SignedPost } from "./signed-post.ts";

/** Whom an event is about. */
export interface WebhookClient {
  /** Id of the connection. */
  readonly connection: string;
  /** null: anonymous. */
  readonly user: string | null;
  readonly transport: string;
}

/** Settings of {@link Webhooks}. */
export interface WebhooksOptions {
  /** See {@link SignedPost}. */
  readonly url: URL;
  readonly secret: string;
  readonly log: Log;
  /** Name of this replica. */
  readonly replica: string;
  /** Told what became of events. */
  readonly onSettled: (type: EventType, result: Result) => void;
  /** Default: 10,000 events and 32 MiB in all, batches of 100 events or 256 KiB, 200 ms. */
  readonly limits?: Partial<LaneLimits>;
  readonly retry?: Partial<RetryPolicy>;
}

/** Requests under way at once. */
const lanes = 4;

const defaultLimits: LaneLimits = {
  maxEvents: 10_000 / lanes,
  maxBytes: (32 * 1024 * 1024) / lanes,
  maxBatchEvents: 100,
  maxBatchBytes: 256 * 1024,
  lingerMs: 200,
};

/** Least pause between two log lines about events that were lost, in ms. */
const logPauseMs = 10_000;

/**
 * Tells the backend what happens: takes events at once, and posts them in batches behind everybody's back. The events of one
 * connection go through one of a few lanes, which has one request under way, so they keep their order; and a client that
 * sends without end fills its own lane only.
 */
export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #post: SignedPost;
  readonly #limits: LaneLimits;
  readonly #retry: RetryPolicy;
  readonly #lanes: readonly Lane[];
  /** Ends the tries when the time to shut down is over. */
  readonly #ending = new AbortController();
  #unlogged = 0;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(options: WebhooksOptions) {
    this.#options = options;
    this.#post = new SignedPost(options.url, options.secret);
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#retry = { ...defaultRetryPolicy, ...options.retry };
    this.#lanes = Array.from({ length: lanes }, () => new Lane(this.#limits, (events) => this.#send(events)));
  }

  /** Events that are not settled yet. */
  get waiting(): number {
    return this.#lanes.reduce((sum, { size }) => sum + size, 0);
  }

  /** True while not much is waiting: what can wait elsewhere should come then only. */
  get hasRoom(): boolean {
    return this.waiting < (this.#limits.maxEvents * lanes) / 2;
  }

  /** A connection was registered. */
  connected(client: WebhookClient): void {
    this.#offer(client.connection, "connect", this.#json(`connect_${client.connection}`, "connect", client));
  }

  /** A connection has ended; `reason` says in a word who or what ended it. */
  disconnected(client: WebhookClient, reason: string): void {
    const json = this.#json(`disconnect_${client.connection}`, "disconnect", client, { reason });
    this.#offer(client.connection, "disconnect", json);
  }

  /**
   * A client has sent a message.
   *
   * @param dataJson its data, as it was written
   * @returns false when there was no room for it
   */
  message(client: WebhookClient, event: string | undefined, dataJson: string): boolean {
    const json = this.#json(`message_${randomUUID()}`, "message", client, { event });
    return this.#offer(client.connection, "message", withMember(json, "data", dataJson));
  }

  /**
   * Nobody was given a message of a user's.
   *
   * @param messageId the message's; the event's id is made of it, so that it is the same when it is told twice
   * @param messageJson the message
   * @returns resolves when the backend was told, or will not be
   */
  undelivered(user: string, messageId: string, messageJson: string): Promise<Result> {
    const { promise, resolve } = Promise.withResolvers<Result>();
    const head = { id: `undelivered_${messageId}`, type: "undelivered", ts: Date.now(), user };
    const json = withMember(JSON.stringify(head), "message", messageJson);
    if (!this.#offer(messageId, "undelivered", json, resolve)) resolve("dropped");
    return promise;
  }

  /** An event could not even be made. */
  lost(type: EventType): void {
    this.#settled([type], "dropped", "the broker could not keep them");
  }

  /**
   * Sends what is waiting, without delay, and takes nothing any more.
   *
   * @param graceMs time for it; what is not sent then is dropped
   */
  async close(graceMs: number): Promise<void> {
    const timer = setTimeout(() => this.#ending.abort(), graceMs);
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    clearTimeout(timer);
    this.#logLost("shutting down");
  }

  #json(id: string, type: EventType, { user, connection, transport }: WebhookClient, more: object = {}): string {
    const { replica } = this.#options;
    return JSON.stringify({ id, type, ts: Date.now(), user, connection, transport, replica, ...more });
  }

  /** @param key events with the same keep their order */
  #offer(key: string, type: EventType, json: string, onSettled?: (result: Result) => void): boolean {
    const lane = this.#lanes[hashOf(key) % lanes] as Lane;
    const isTaken = lane.offer({ type, json, ...(onSettled && { onSettled }) });
    if (!isTaken) this.#settled([type], "dropped", "too many events are waiting");
    return isTaken;
  }

  async #send(events: readonly WebhookEvent[]): Promise<Result> {
    const { log } = this.#options;
    const id = `msg_${randomUUID()}`;
    const timestamp = new Date().toISOString();
    const list = events.map(({ json }) => json).join(",");
    const body = `{"type":"belfry.events","timestamp":"${timestamp}","data":{"events":[${list}]}}`;
    const { result, reason } = await deliver(this.#post, id, body, this.#retry, this.#ending.signal, (attempt, why) =>
      log.debug({ host: this.#post.host, id, attempt, reason: why }, "a webhook is tried again"),
    );
    this.#settled(
      events.map(({ type }) => type),
      result,
      reason,
    );
    return result;
  }

  #settled(types: readonly EventType[], result: Result, reason: string): void {
    for (const type of types) this.#options.onSettled(type, result);
    if (result === "sent") return;
    this.#unlogged += types.length;
    if (performance.now() - this.#loggedMs >= logPauseMs) this.#logLost(reason);
  }

  #logLost(reason: string): void {
    if (this.#unlogged === 0) return;
    this.#options.log.warn({ host: this.#post.host, events: this.#unlogged, reason }, "webhook events were lost");
    this.#unlogged = 0;
    this.#loggedMs = performance.now();
  }
}

/** Adds a member to a JSON object that has some already; its value is JSON text. */
function withMember(json: string, name: string, value: string): string {
  return `${json.slice(0, -1)},"${name}":${value}}`;
}

/** A number that is 0 or more, always the same for one text. */
function hashOf(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (31 * hash + text.charCodeAt(i)) >>> 0;
  return hash;
}
