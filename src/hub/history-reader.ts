import type { Broker, HistoryPage } from "../broker/broker.ts";
import type { Stream } from "../protocol/streams.ts";

interface Request {
  readonly stream: Stream;
  readonly after: number;
  readonly answer: PromiseWithResolvers<HistoryPage>;
}

/** Messages read at once. */
const pageSize = 100;

/** Streams read at once: bounds the memory that pages take, and the load on the broker. */
const maxReads = 32;

/**
 * Reads history for many at once. One read of a stream is under way at a time, and its page is given to everybody it
 * serves: when thousands resume at about the same place, because a replica died, the stream is read once and not once for
 * each of them.
 */
export class HistoryReader {
  readonly #broker: Broker;
  /** Those who wait, by stream, in the order of their coming. */
  readonly #waiting = new Map<string, Request[]>();
  readonly #reading = new Set<string>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /**
   * Reads the page behind an offset. It may begin before it, and holds at least what comes next unless there is nothing.
   *
   * @throws BelfryError `unavailable`
   */
  read(stream: Stream, after: number): Promise<HistoryPage> {
    const request = { stream, after, answer: Promise.withResolvers<HistoryPage>() };
    const waiting = this.#waiting.get(stream.key);
    if (waiting) waiting.push(request);
    else this.#waiting.set(stream.key, [request]);
    this.#next();
    return request.answer.promise;
  }

  /** Begins reads as long as there are streams waiting and not too many under way. */
  #next(): void {
    for (const [key, [first]] of this.#waiting) {
      if (this.#reading.size >= maxReads) return;
      if (first && !this.#reading.has(key)) void this.#serve(key, first);
    }
  }

  async #serve(key: string, first: Request): Promise<void> {
    const { stream, after } = first;
    this.#reading.add(key);
    try {
      const page = await this.#broker.history(stream, after, pageSize);
      const serves = (request: Request) =>
        request === first || (request.after >= after && request.after < page.reaches);
      this.#settle(key, serves, ({ answer }) => answer.resolve(page));
    } catch (error) {
      this.#settle(
        key,
        () => true,
        ({ answer }) => answer.reject(error),
      );
    } finally {
      this.#reading.delete(key);
      this.#next();
    }
  }

  /** Answers those that the test holds for, and lets the others wait on, in their order. */
  #settle(key: string, test: (request: Request) => boolean, answer: (request: Request) => void): void {
    const all = this.#waiting.get(key) ?? [];
    const others = all.filter((request) => !test(request));
    // Behind the other streams, so that none is read again and again while others wait.
    this.#waiting.delete(key);
    if (others.length > 0) this.#waiting.set(key, others);
    for (const request of all) if (test(request)) answer(request);
  }
}
