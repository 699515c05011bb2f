import { formatId, formatLiveId, newEpoch, type Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import type { Broker, BrokerHandler, HistoryOptions, HistoryPage, Message, Publication, Published } from "./broker.ts";
import { Fifo } from "./fifo.ts";

/** Settings of {@link MemoryBroker}. */
export interface MemoryBrokerOptions extends HistoryOptions {
  /** Bytes kept of all streams together; the oldest messages go first. */
  readonly memoryHistoryBytes: number;
}

/** What a stored message costs beside its body: object, id, queue slots. */
const entryOverheadBytes = 256;

/** Streams that are remembered; of those that nobody is subscribed to the longest unused go first, history and all. */
const maxStreams = 500_000;

interface Entry {
  readonly message: Message;
  readonly log: Log;
  readonly bytes: number;
  stored: boolean;
}

/** One stream's life in this process. */
interface Log {
  readonly epoch: string;
  offset: number;
  /** Oldest first. */
  readonly entries: Fifo<Entry>;
}

/** The broker of one process that does everything in memory: as complete as Redis, gone when the process ends. */
export class MemoryBroker implements Broker {
  readonly #options: MemoryBrokerOptions;
  /** In order of use, so that the longest unused stand first. */
  readonly #logs = new Map<string, Log>();
  readonly #subscribed = new Set<string>();
  /** Every stored message, oldest first, among others already dropped from their log. */
  readonly #ages = new Fifo<Entry>();
  #storedCount = 0;
  readonly #instance = newEpoch();
  #bytes = 0;
  #liveCount = 0;
  #handler: BrokerHandler | undefined;

  constructor(options: MemoryBrokerOptions) {
    this.#options = options;
  }

  get up(): boolean {
    return this.#handler !== undefined;
  }

  start(handler: BrokerHandler): void {
    this.#handler = handler;
    handler.onConnected();
  }

  async publish(stream: Stream, publication: Publication): Promise<Published> {
    const message = publication.live ? this.#makeLive(stream, publication) : this.#store(stream, publication);
    if (!this.#subscribed.has(stream.key)) return { id: message.id, subscribers: 0 };
    queueMicrotask(() => this.#handler?.onMessage(message));
    return { id: message.id, subscribers: 1 };
  }

  async subscribe(streams: readonly Stream[]): Promise<Position[]> {
    return streams.map((stream) => {
      this.#subscribed.add(stream.key);
      const { epoch, offset } = this.#log(stream);
      return { epoch, offset };
    });
  }

  unsubscribe(stream: Stream): void {
    this.#subscribed.delete(stream.key);
  }

  async history(stream: Stream, after: number, limit: number): Promise<HistoryPage> {
    const now = Date.now();
    this.#dropOld(now);
    const log = this.#log(stream);
    const first = log.entries.peek()?.message.position?.offset ?? log.offset + 1;
    const messages: Message[] = [];
    let reaches = log.offset;
    for (const { message } of log.entries.from(Math.max(0, after + 1 - first))) {
      if (messages.length === limit) {
        reaches = messages.at(-1)?.position?.offset ?? log.offset;
        break;
      }
      if (message.expiresAtMs === 0 || message.expiresAtMs > now) messages.push(message);
    }
    return { epoch: log.epoch, first, last: log.offset, reaches, messages };
  }

  async ask(stream: Stream, question: unknown): Promise<unknown[]> {
    if (!this.#subscribed.has(stream.key) || !this.#handler) return [];
    return [this.#handler.onQuestion(stream, question)];
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {
    this.#handler = undefined;
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
    const body = Buffer.from(publication.body);
    const message = { stream, id: formatId(stream.scope, position), position, body, ts, expiresAtMs, collapse };
    const entry = { message, log, bytes: body.length + entryOverheadBytes, stored: true };
    log.entries.push(entry);
    this.#ages.push(entry);
    this.#bytes += entry.bytes;
    this.#storedCount++;
    while (log.entries.length > this.#options.historySize) this.#dropOldest(log);
    this.#dropOld(ts);
    if (this.#ages.length > 2 * this.#storedCount + 1000) this.#ages.keep((old) => old.stored);
    return message;
  }

  /** The stream's log, made when there is none, and marked as just used. */
  #log(stream: Stream): Log {
    let log = this.#logs.get(stream.key);
    if (log) this.#logs.delete(stream.key);
    else log = { epoch: newEpoch(), offset: 0, entries: new Fifo() };
    this.#logs.set(stream.key, log);
    if (this.#logs.size > maxStreams) this.#forgetUnused();
    return log;
  }

  /** Drops what is too old, and the oldest while all together are too large. */
  #dropOld(now: number): void {
    const oldest = now - this.#options.historyTtlSeconds * 1000;
    for (let entry = this.#ages.peek(); entry; entry = this.#ages.peek()) {
      const due = this.#bytes > this.#options.memoryHistoryBytes || entry.message.ts <= oldest;
      if (entry.stored && !due) return;
      this.#ages.shift();
      if (entry.stored) this.#dropOldest(entry.log);
    }
  }

  #dropOldest(log: Log): void {
    const entry = log.entries.shift();
    if (!entry) return;
    entry.stored = false;
    this.#storedCount--;
    this.#bytes -= entry.bytes;
  }

  /** Forgets one stream; looks at a few only, so that a publish never waits for a walk over all of them. */
  #forgetUnused(): void {
    let looks = 0;
    for (const [key, log] of this.#logs) {
      this.#logs.delete(key);
      if (!this.#subscribed.has(key)) {
        while (log.entries.length > 0) this.#dropOldest(log);
        return;
      }
      this.#logs.set(key, log);
      if (++looks === 100) return;
    }
  }
}
