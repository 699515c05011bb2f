import type { Broker } from "../broker/broker.ts";
import type { Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";

interface Noted {
  readonly stream: Stream;
  readonly position: Position;
}

/** Shortest time between two writes of one stream, in ms. */
const intervalMs = 1000;

/** Streams that wait to be written; of more it is not kept how far they were acked. */
const defaultMaxStreams = 100_000;

/** Writes under way at once. */
const batchSize = 100;

/** Longest time that the end of the service waits for the writes, in ms. */
const closeTimeoutMs = 2000;

/**
 * Keeps in the broker how far streams were acked. Acks come by the thousand; what is written is the newest of each stream,
 * at most once a second, and when its last connection leaves. What could not be written is tried again.
 */
export class AckedPositions {
  readonly #broker: Broker;
  readonly #maxStreams: number;
  /** By the key of the stream, until it is written. */
  readonly #noted = new Map<string, Noted>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param maxStreams streams that wait to be written; default: 100,000 */
  constructor(broker: Broker, maxStreams: number = defaultMaxStreams) {
    this.#broker = broker;
    this.#maxStreams = maxStreams;
  }

  /** Streams that wait to be written. */
  get size(): number {
    return this.#noted.size;
  }

  /** A stream was acked up to a position. */
  note(stream: Stream, position: Position): void {
    const noted = this.#noted.get(stream.key);
    if (!noted && this.#noted.size >= this.#maxStreams) return;
    // Of several connections of a user the one that is furthest counts.
    if (noted?.position.epoch === position.epoch && noted.position.offset >= position.offset) return;
    this.#noted.set(stream.key, { stream, position });
    this.#schedule();
  }

  /** How far a stream was acked, unless it is written already. */
  get(stream: Stream): Position | undefined {
    return this.#noted.get(stream.key)?.position;
  }

  /** Nobody here listens to the stream any more: what is known of it here is written now. */
  left(stream: Stream): void {
    const noted = this.#noted.get(stream.key);
    if (noted) void this.#write(noted);
  }

  /** Writes what is left, within 2 s. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, closeTimeoutMs);
    await Promise.race([this.#flush(performance.now() + closeTimeoutMs), late]);
    clearTimeout(timer);
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(async () => {
      await this.#flush();
      this.#timer = undefined;
      if (this.#noted.size > 0) this.#schedule();
    }, intervalMs);
  }

  async #flush(untilMs = Number.POSITIVE_INFINITY): Promise<void> {
    const all = [...this.#noted.values()];
    for (let i = 0; i < all.length && performance.now() < untilMs; i += batchSize) {
      const written = await Promise.all(all.slice(i, i + batchSize).map((noted) => this.#write(noted)));
      // While the broker is away the others need not be tried.
      if (written.includes(false)) return;
    }
  }

  /** @returns false when it could not be written */
  async #write(noted: Noted): Promise<boolean> {
    const { stream, position } = noted;
    try {
      await this.#broker.keepAcked(stream, position);
    } catch {
      return false;
    }
    if (this.#noted.get(stream.key) === noted) this.#noted.delete(stream.key);
    return true;
  }
}
