import { Fifo } from "../fifo.ts";
import { formatId, formatLiveId, newEpoch, type Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import {
  type Answers,
  type AskOptions,
  type Broker,
  type BrokerHandler,
  type BrokerOptions,
  type HistoryPage,
  type Idempotency,
  type Message,
  maxRevocations,
  type Publication,
  type Published,
  tooManyRevocations,
} from "./broker.ts";
import { IdempotencyKeys } from "./idempotency-keys.ts";
import { MemoryReminders } from "./memory-reminders.ts";
import { ownBytes } from "./own-bytes.ts";
import { PendingQuestions } from "./pending-questions.ts";
import { PublishLimit } from "./publish-limit.ts";
import { bytesOf, type Entry, indexBehind, newHistory, type StreamHistory } from "./stream-history.ts";
import { UserTopics } from "./user-topics.ts";

/** Settings of {@link MemoryBroker}. */
export interface MemoryBrokerOptions extends BrokerOptions {
  /** Bytes kept of all streams together; the oldest messages go first. */
  readonly memoryHistoryBytes: number;
}

/** Streams that are remembered; of those that nobody is subscribed to the longest unused go first, history and all. */
const maxStreams = 500_000;

/** The broker of one process that does everything in memory: as complete as Redis, gone when the process ends. */
export class MemoryBroker implements Broker {
  readonly reminders = new MemoryReminders();
  readonly #options: MemoryBrokerOptions;
  /** In order of use, so that the longest unused stand first. */
  readonly #logs = new Map<string, StreamHistory>();
  /** The same, by their epochs. */
  readonly #epochs = new Map<string, StreamHistory>();
  readonly #subscribed = new Set<string>();
  /** Every stored message, oldest first, among others already dropped from their log. */
  readonly #ages = new Fifo<Entry>();
  #storedCount = 0;
  readonly #instance = newEpoch();
  readonly #limit: PublishLimit | undefined;
  readonly #idempotencyKeys: IdempotencyKeys;
  readonly #questions = new PendingQuestions();
  /** When each is over. */
  readonly #revocations = new Map<string, number>();
  readonly #userTopics = new UserTopics();
  #bytes = 0;
  #liveCount = 0;
  /** On their way to the handler. */
  readonly #published: Message[] = [];
  #handler: BrokerHandler | undefined;

  constructor(options: MemoryBrokerOptions) {
    this.#options = options;
    const { idempotencyTtlSeconds, maxPublishesPerSecond } = options;
    this.#idempotencyKeys = new IdempotencyKeys(idempotencyTtlSeconds);
    this.#limit = maxPublishesPerSecond === undefined ? undefined : PublishLimit.inMemory(maxPublishesPerSecond);
  }

  get up(): boolean {
    return this.#handler !== undefined;
  }

  start(handler: BrokerHandler): void {
    this.#handler = handler;
    handler.onConnected();
  }

  async publish(stream: Stream, publication: Publication, here = 0): Promise<Published> {
    const { idempotency } = publication;
    if (!idempotency) return this.#publish(stream, publication, here);
    const name = `${stream.key} ${idempotency.key}`;
    const first = this.#idempotencyKeys.find(name, idempotency)?.published;
    if (first) return { ...first, replayed: true };
    const published = this.#publish(stream, publication, here);
    this.#idempotencyKeys.remember(name, idempotency, published);
    return published;
  }

  async claim(idempotency: Idempotency): Promise<void> {
    const { key } = idempotency;
    this.#idempotencyKeys.find(key, idempotency) ?? this.#idempotencyKeys.remember(key, idempotency, undefined);
  }

  #publish(stream: Stream, publication: Publication, here: number): Published {
    const message = publication.live ? this.#makeLive(stream, publication) : this.#store(stream, publication);
    // The first of those that come in one turn asks for the hand-over of all.
    if (this.#subscribed.has(stream.key) && this.#published.push(message) === 1) queueMicrotask(this.#handOver);
    return { id: message.id, receivers: here, replayed: false };
  }

  readonly #handOver = (): void => {
    for (const message of this.#published.splice(0)) this.#handler?.onMessage(message);
  };

  async subscribe(streams: readonly Stream[]): Promise<Position[]> {
    return streams.map((stream) => {
      this.#subscribed.add(stream.key);
      const { epoch, offset } = this.#log(stream);
      return { epoch, offset };
    });
  }

  unsubscribe(stream: Stream): void {
    this.#subscribed.delete(stream.key);
    if (this.#logs.has(stream.key)) this.#log(stream);
  }

  async history(stream: Stream, after: number, limit: number): Promise<HistoryPage> {
    const now = Date.now();
    this.#dropOld(now);
    const log = this.#log(stream);
    const messages: Message[] = [];
    let reaches = log.offset;
    for (const entry of log.entries.from(indexBehind(log.entries, after))) {
      if (messages.length === limit) {
        reaches = messages.at(-1)?.position?.offset ?? log.offset;
        break;
      }
      if (entry.stored && (entry.expiresAtMs === 0 || entry.expiresAtMs > now)) messages.push(entry);
    }
    return { epoch: log.epoch, first: log.lost + 1, last: log.offset, reaches, acked: log.acked, messages };
  }

  async streamOf(epoch: string): Promise<Stream | undefined> {
    return this.#epochs.get(epoch)?.stream;
  }

  async keepAcked(stream: Stream, { epoch, offset }: Position): Promise<void> {
    const log = this.#logs.get(stream.key);
    if (log?.epoch === epoch) log.acked = Math.max(log.acked, offset);
  }

  async ask(stream: Stream, question: unknown, options?: AskOptions): Promise<Answers> {
    const handler = this.#handler;
    if (!this.#subscribed.has(stream.key) || !handler) return { answers: [], replicas: 0 };
    return this.#questions.ask(async (request) => {
      const answer = Promise.resolve(handler.onQuestion(stream, question));
      // Where it fails nobody answers, as from another replica.
      void answer.then(
        (given) => given !== undefined && this.#questions.answered(request, given),
        () => {},
      );
      return 1;
    }, options);
  }

  async countPublishes(publisher: string, messages: number): Promise<number> {
    return this.#limit?.count(publisher, messages) ?? 0;
  }

  async addRevocation(text: string, expiresAtMs: number): Promise<void> {
    const kept = await this.revocations();
    if (kept.length >= maxRevocations) throw tooManyRevocations();
    this.#revocations.set(text, expiresAtMs);
  }

  async revocations(): Promise<string[]> {
    const now = Date.now();
    for (const [text, expiresAtMs] of this.#revocations) if (expiresAtMs <= now) this.#revocations.delete(text);
    return [...this.#revocations.keys()];
  }

  async addUserTopic(user: string, topic: string, max: number): Promise<void> {
    this.#userTopics.add(user, topic, max);
  }

  async removeUserTopic(user: string, topic: string): Promise<void> {
    this.#userTopics.remove(user, topic);
  }

  async userTopics(user: string): Promise<string[]> {
    return this.#userTopics.of(user);
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {
    this.#handler = undefined;
    this.#questions.close();
  }

  #makeLive(stream: Stream, publication: Publication): Message {
    const { body, ts, expiresAtMs, collapse } = publication;
    const id = formatLiveId(this.#instance, ++this.#liveCount);
    return { stream, id, position: undefined, body: Buffer.from(body), ts, expiresAtMs, collapse };
  }

  #store(stream: Stream, publication: Publication): Message {
    const { ts, expiresAtMs, collapse } = publication;
    const log = this.#log(stream);
    const position = { epoch: log.epoch, offset: ++log.offset };
    const id = formatId(stream.scope, position);
    const body = ownBytes(publication.body);
    const entry = { stream: log.stream, id, position, body, ts, expiresAtMs, collapse, log, stored: true };
    log.entries.push(entry);
    log.storedCount++;
    this.#ages.push(entry);
    this.#bytes += bytesOf(entry);
    this.#storedCount++;
    if (collapse !== undefined) this.#replace(log, collapse, entry);
    while (log.storedCount > this.#options.historySize) this.#dropOldest(log);
    this.#dropOld(ts);
    if (log.entries.length > 2 * log.storedCount + 100) log.entries.keep((old) => old.stored);
    if (this.#ages.length > 2 * this.#storedCount + 1000) this.#ages.keep((old) => old.stored);
    return entry;
  }

  /** Drops the older message with the same collapse key: nothing that matters is lost with it. */
  #replace(log: StreamHistory, collapse: string, entry: Entry): void {
    log.collapsing ??= new Map();
    const older = log.collapsing.get(collapse);
    if (older) this.#drop(older);
    log.collapsing.set(collapse, entry);
  }

  /** The stream's log, made when there is none, and marked as just used; a subscribed one is in use until it is not. */
  #log(stream: Stream): StreamHistory {
    let log = this.#logs.get(stream.key);
    if (log && this.#subscribed.has(stream.key)) return log;
    if (log) {
      this.#logs.delete(stream.key);
    } else {
      log = newHistory(stream);
      this.#epochs.set(log.epoch, log);
    }
    this.#logs.set(stream.key, log);
    if (this.#logs.size > maxStreams) this.#forgetUnused();
    return log;
  }

  /** Drops what is too old, and the oldest while all together are too large. */
  #dropOld(now: number): void {
    const oldest = now - this.#options.historyTtlSeconds * 1000;
    for (let entry = this.#ages.peek(); entry; entry = this.#ages.peek()) {
      const due = this.#bytes > this.#options.memoryHistoryBytes || entry.ts <= oldest;
      if (entry.stored && !due) return;
      this.#ages.shift();
      if (entry.stored) this.#dropOldest(entry.log);
    }
  }

  /** Drops the oldest message that is stored, with those before it that are not. */
  #dropOldest(log: StreamHistory): void {
    let entry = log.entries.shift();
    while (entry && !entry.stored) entry = log.entries.shift();
    if (!entry) return;
    this.#drop(entry);
    log.lost = entry.position.offset;
  }

  #drop(entry: Entry): void {
    const { collapse } = entry;
    if (collapse !== undefined && entry.log.collapsing?.get(collapse) === entry) entry.log.collapsing.delete(collapse);
    entry.stored = false;
    entry.log.storedCount--;
    this.#storedCount--;
    this.#bytes -= bytesOf(entry);
  }

  /** Forgets one stream; looks at a few only, so that a publish never waits for a walk over all of them. */
  #forgetUnused(): void {
    let looks = 0;
    for (const [key, log] of this.#logs) {
      this.#logs.delete(key);
      if (!this.#subscribed.has(key)) {
        while (log.storedCount > 0) this.#dropOldest(log);
        this.#epochs.delete(log.epoch);
        return;
      }
      this.#logs.set(key, log);
      if (++looks === 100) return;
    }
  }
}
