import { BelfryError } from "../errors.ts";
import type { Log } from "../log.ts";
import { formatId, formatLiveId, newEpoch, type Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import {
  type Broker,
  type BrokerHandler,
  type BrokerOptions,
  type HistoryPage,
  type Idempotency,
  idempotencyConflict,
  type Publication,
  type Published,
} from "./broker.ts";
import { PendingQuestions } from "./pending-questions.ts";
import { createRedisClient, type RedisClient, ReplyError } from "./redis-client.ts";
import { publishScript } from "./redis-scripts.ts";
import { decodeAnswer, decodeRecord, decodeWire, encodeAnswer, encodeQuestion, encodeRecord } from "./redis-wire.ts";

/** Settings of {@link RedisBroker}. */
export interface RedisBrokerOptions extends BrokerOptions {
  /** `redis://…` or `rediss://…`. */
  readonly redisUrl: string;
  /** What every key and channel begins with. */
  readonly redisPrefix: string;
  readonly log: Log;
  /** Told the duration of every operation. */
  readonly onOperation?: (operation: string, seconds: number) => void;
  /** Told of every message that could not be read. */
  readonly onMalformed?: () => void;
}

/** Longest wait for the answers to a question, in ms. */
const answerTimeoutMs = 1000;

/** Pause between two looks at whether the subscriptions still bring anything, in ms. */
const probeIntervalMs = 3000;

/** Operations under way at once; more are refused, so that a hanging Redis does not fill the memory. */
const maxPending = 10_000;

/** How long a stream's epoch and offset outlive its messages, in ms: 30 days. */
const metaTtlMs = 30 * 86400 * 1000;

/** Channels in one SUBSCRIBE and positions in one pipeline. */
const subscribeBatch = 500;

/**
 * The broker of many replicas on one Redis: a channel per stream, so that a message costs only the replicas that hold its
 * recipients, and a Redis stream per stream for history. Two connections: commands, and subscriptions.
 */
export class RedisBroker implements Broker {
  readonly #options: RedisBrokerOptions;
  readonly #commands: RedisClient;
  readonly #subscriber: RedisClient;
  readonly #instance = newEpoch();
  readonly #questions = new PendingQuestions(answerTimeoutMs);
  readonly #streams = new Map<string, Stream>();
  #handler: BrokerHandler | undefined;
  #probe: NodeJS.Timeout | undefined;
  #probesMissed = 0;
  /** What was logged last of the connection; undefined: nothing yet. */
  #up: boolean | undefined;
  #closed = false;
  #pending = 0;
  #liveCount = 0;

  constructor(options: RedisBrokerOptions) {
    this.#options = options;
    this.#commands = createRedisClient(options.redisUrl, "belfry-commands");
    this.#subscriber = createRedisClient(options.redisUrl, "belfry-subscriber");
  }

  get up(): boolean {
    return this.#up === true;
  }

  start(handler: BrokerHandler): void {
    this.#handler = handler;
    this.#subscriber.on("messageBuffer", (channel: Buffer, payload: Buffer) => this.#receive(channel, payload));
    for (const client of [this.#commands, this.#subscriber]) {
      client.on("ready", () => void this.#connected());
      client.on("close", () => this.#disconnected());
      client.on("error", (error: Error) => {
        this.#disconnected(error);
        // Redis said no to the password or to the database: with the latter it would go on in database 0.
        if (error instanceof ReplyError) client.disconnect(true);
      });
      client.connect().catch(() => {});
    }
    this.#probe = setInterval(() => void this.#probeSubscriber(), probeIntervalMs);
  }

  async publish(stream: Stream, publication: Publication, here?: number): Promise<Published> {
    const { live, idempotency, collapse = "" } = publication;
    const { historySize, historyTtlSeconds, idempotencyTtlSeconds } = this.#options;
    const channel = this.#channel(stream);
    const ttlMs = historyTtlSeconds * 1000;
    const [outcome, source, number, receivers] = await this.#run("publish", () =>
      this.#commands.belfryPublish(
        ...this.#keys(stream),
        `${channel}:collapse`,
        `${channel}:once:${idempotency?.key ?? ""}`,
        channel,
        newEpoch(),
        encodeRecord(publication),
        historySize,
        ttlMs,
        Math.max(metaTtlMs, ttlMs),
        here ?? 0,
        here === undefined ? 0 : 1,
        collapse,
        live ? this.#instance : "",
        live ? ++this.#liveCount : 0,
        idempotency?.fingerprint ?? "",
        idempotencyTtlSeconds * 1000,
      ),
    );
    if (outcome === "conflict") throw idempotencyConflict();
    // An idempotency key belongs to one kind of message: another would have another body, and so another fingerprint.
    const id = live ? formatLiveId(source, number) : formatId(stream.scope, { epoch: source, offset: number });
    return { id, receivers, replayed: outcome === "replayed" };
  }

  async claim({ key, fingerprint }: Idempotency): Promise<void> {
    const name = `${this.#options.redisPrefix}:once:${key}`;
    const known = await this.#run("claim", () =>
      this.#commands.belfryClaim(name, fingerprint, this.#options.idempotencyTtlSeconds * 1000),
    );
    if (known !== fingerprint) throw idempotencyConflict();
  }

  async subscribe(streams: readonly Stream[], known: readonly (Position | undefined)[] = []): Promise<Position[]> {
    const positions: Position[] = [];
    for (let i = 0; i < streams.length; i += subscribeBatch) {
      const batch = streams.slice(i, i + subscribeBatch);
      const knownOfBatch = known.slice(i, i + subscribeBatch);
      positions.push(...(await this.#run("subscribe", () => this.#subscribeBatch(batch, knownOfBatch))));
    }
    return positions;
  }

  unsubscribe(stream: Stream): void {
    const channel = this.#channel(stream);
    this.#streams.delete(channel);
    // Without a connection there is no subscription to end either.
    this.#subscriber.unsubscribe(channel).catch(() => {});
  }

  async history(stream: Stream, after: number, limit: number): Promise<HistoryPage> {
    return this.#run("history", async () => {
      const [epochBytes, last, lost, entries] = await this.#commands.belfryHistoryBuffer(
        ...this.#keys(stream),
        after + 1,
        limit,
        newEpoch(),
        metaTtlMs,
      );
      const epoch = epochBytes.toString();
      const now = Date.now();
      const oldest = now - this.#options.historyTtlSeconds * 1000;
      const decoded = entries
        .flatMap(
          ([id, fields]) => this.#decode(() => decodeRecord(stream, epoch, offsetOf(id), fields[1] ?? empty)) ?? [],
        )
        .filter(({ expiresAtMs }) => expiresAtMs === 0 || expiresAtMs > now);
      const messages = decoded.filter(({ ts }) => ts > oldest);
      // What is too old still stands in a log that goes on being written; it counts as lost all the same.
      const aged = decoded.findLast(({ ts }) => ts <= oldest)?.position?.offset ?? 0;
      const first = Math.max(lost, aged) + 1;
      const end = entries.length === limit ? entries.at(-1) : undefined;
      return { epoch, first, last, reaches: end ? Number(offsetOf(end[0])) : last, messages };
    });
  }

  async ask(stream: Stream, question: unknown): Promise<unknown[]> {
    return this.#run("ask", () =>
      this.#questions.ask((request) =>
        this.#commands.publish(this.#channel(stream), encodeQuestion(request, this.#replyChannel, question)),
      ),
    );
  }

  async check(): Promise<void> {
    await this.#run("check", () => Promise.all([this.#commands.ping(), this.#subscriber.ping()]));
    if (!this.#up) throw this.#unavailable("the subscriptions in Redis are not restored yet");
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#up = false;
    clearInterval(this.#probe);
    this.#commands.disconnect();
    this.#subscriber.disconnect();
    this.#questions.close();
  }

  #channel(stream: Stream): string {
    return `${this.#options.redisPrefix}:{${stream.key}}`;
  }

  /** Both keys hold the stream's key in braces, so that Redis Cluster keeps them together. */
  #keys(stream: Stream): [meta: string, log: string] {
    const channel = this.#channel(stream);
    return [`${channel}:meta`, `${channel}:log`];
  }

  get #replyChannel(): string {
    return `${this.#options.redisPrefix}:replica:${this.#instance}`;
  }

  get #externalChannel(): string {
    return `${this.#options.redisPrefix}:publish`;
  }

  /** Subscribes first and reads the positions then, so that nothing falls in between. */
  async #subscribeBatch(streams: readonly Stream[], known: readonly (Position | undefined)[]): Promise<Position[]> {
    const channels = streams.map((stream) => this.#channel(stream));
    for (const [index, stream] of streams.entries()) this.#streams.set(channels[index] ?? "", stream);
    try {
      await this.#subscriber.subscribe(...channels);
      return await Promise.all(streams.map((stream, index) => this.#position(stream, known[index])));
    } catch (error) {
      for (const stream of streams) this.unsubscribe(stream);
      throw error;
    }
  }

  async #position(stream: Stream, known: Position = { epoch: "", offset: 0 }): Promise<Position> {
    const [epoch, offset] = await this.#commands.belfryPosition(
      ...this.#keys(stream),
      newEpoch(),
      metaTtlMs,
      known.epoch,
      known.offset,
    );
    return { epoch, offset };
  }

  /** One of the two connections became ready; when both are, the service can work. */
  async #connected(): Promise<void> {
    if (this.#commands.status !== "ready" || this.#subscriber.status !== "ready") return;
    try {
      await this.#subscriber.subscribe(this.#replyChannel, this.#externalChannel);
      // For backends that call it by its SHA-1, as docs/redis.md shows.
      await this.#commands.script("LOAD", publishScript);
    } catch (error) {
      this.#options.log.debug({ err: error }, "Redis subscription failed");
      this.#subscriber.disconnect(true);
      return;
    }
    if (this.#closed) return;
    this.#up = true;
    this.#options.log.info("Redis is reachable");
    this.#handler?.onConnected();
  }

  /**
   * A connection can be healthy and yet deaf: its peer has vanished without a word, or was demoted in a failover. So this
   * replica sends something to itself, the way that messages go; when nothing arrives twice in a row, it subscribes anew.
   */
  async #probeSubscriber(): Promise<void> {
    if (!this.#up) return;
    const send = (request: string) => this.#commands.publish(this.#replyChannel, encodeAnswer(request, null));
    const answers = await this.#questions.ask(send).catch(() => undefined);
    // When it could not even be sent, the commands' connection is what is broken, and that shows by itself.
    this.#probesMissed = answers?.length === 0 ? this.#probesMissed + 1 : 0;
    if (this.#probesMissed < 2 || !this.#up) return;
    this.#probesMissed = 0;
    this.#options.log.warn("the subscriptions in Redis bring nothing any more; subscribing anew");
    this.#subscriber.disconnect(true);
  }

  /** Logged once, not with every try. */
  #disconnected(error?: Error): void {
    if (this.#up === false || this.#closed) return;
    this.#up = false;
    this.#options.log.warn({ err: error }, "Redis cannot be reached; trying again");
  }

  #receive(channelBytes: Buffer, payload: Buffer): void {
    const channel = channelBytes.toString();
    if (channel === this.#externalChannel) {
      this.#handler?.onExternalPublish(payload);
      return;
    }
    if (channel === this.#replyChannel) {
      const reply = this.#decode(() => decodeAnswer(payload));
      if (reply) this.#questions.answered(reply.request, reply.answer);
      return;
    }
    // A stream that was just left may still have a message on its way.
    const stream = this.#streams.get(channel);
    if (!stream) return;
    const wire = this.#decode(() => decodeWire(stream, payload));
    if (wire?.kind === "message") this.#handler?.onMessage(wire.message);
    else if (wire) this.#answer(stream, wire.request, wire.replyChannel, wire.question);
  }

  /** Passes over what cannot be read: one such message must not keep the others back. */
  #decode<T>(decode: () => T): T | undefined {
    try {
      return decode();
    } catch {
      // What is wrong stays out of the log: the reason may quote the message.
      this.#options.onMalformed?.();
      this.#options.log.warn("unreadable message from Redis");
      return undefined;
    }
  }

  #answer(stream: Stream, request: string, replyChannel: string, question: unknown): void {
    const answer = this.#handler?.onQuestion(stream, question);
    if (answer === undefined) {
      this.#options.log.warn("unknown question from another replica");
      return;
    }
    this.#commands.publish(replyChannel, encodeAnswer(request, answer)).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, "an answer could not be sent");
    });
  }

  /** Runs an operation on Redis: bounded in number, timed, its failures turned into `unavailable`. */
  async #run<T>(operation: string, work: () => Promise<T>): Promise<T> {
    if (this.#pending >= maxPending) throw this.#unavailable("too many operations wait for Redis");
    this.#pending++;
    const start = performance.now();
    try {
      return await work();
    } catch (error) {
      throw this.#unavailable(this.#up ? reasonOf(error) : "Redis cannot be reached", error);
    } finally {
      this.#pending--;
      this.#options.onOperation?.(operation, (performance.now() - start) / 1000);
    }
  }

  #unavailable(reason: string, cause?: unknown): BelfryError {
    return new BelfryError("unavailable", reason, { retryAfterSeconds: 1, cause });
  }
}

const empty = Buffer.alloc(0);

/** What an operation failed of, by the code that Redis puts first (OOM, READONLY, …); the rest may quote the command. */
function reasonOf(error: unknown): string {
  const code = error instanceof ReplyError ? /^[A-Z]+/.exec((error as Error).message)?.[0] : undefined;
  return code ? `Redis refused the operation (${code})` : "Redis did not answer";
}

/** The offset in the id of a Redis stream entry, `OFFSET-0`. */
function offsetOf(id: Buffer): string {
  return id.toString("latin1", 0, id.indexOf("-"));
}
