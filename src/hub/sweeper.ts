import { endOfTurn } from "../end-of-turn.ts";
import { Fifo } from "../fifo.ts";

/** A stream that has something to deliver. */
export interface Sweepable {
  /**
   * Goes on delivering.
   *
   * @param untilMs when to stop, by {@link performance.now}
   * @returns true when there is more to do
   */
  sweep(untilMs: number): boolean;
  /** True when a message before the given number is on its way to anybody. */
  hasBefore(number: number): boolean;
}

/** Least and most time for deliveries in one turn of the event loop, in ms. */
const minSliceMs = 1;
const maxSliceMs = 20;

/** Streams with something to deliver beyond which a slice takes the most time. */
const manyStreams = 256;

/**
 * Gives all streams that have something to deliver their turns: a slice of time in each turn of the event loop, as long as
 * everything else in that turn took, so that neither deliveries nor what brings them falls behind. What waits in one stream
 * is written together, and costs the less the longer it waits; what waits in many does not, so these are given more.
 */
export class Sweeper {
  readonly #due = new Fifo<Sweepable>();
  /** Those of them that had a turn already, and may have something older than those that stand before them. */
  readonly #again = new Set<Sweepable>();
  #isScheduled = false;
  #number = 0;
  #scheduledMs = 0;

  /** The next number of a message, whatever its stream. */
  nextNumber(): number {
    return ++this.#number;
  }

  /**
   * True when no stream that waits for its turn has a message before the given number; false also where that would take a look
   * at all of them. The others wait in the order of their oldest messages, so that one look is enough.
   */
  isFirst(number: number): boolean {
    return this.#again.size === 0 && !this.#due.peek()?.hasBefore(number);
  }

  /** Lets a stream have turns until it has nothing more to do. */
  add(stream: Sweepable): void {
    this.#due.push(stream);
    if (!this.#isScheduled) this.#schedule();
  }

  #schedule(): void {
    this.#isScheduled = true;
    this.#scheduledMs = performance.now();
    void this.#turn();
  }

  async #turn(): Promise<void> {
    await endOfTurn();
    // Whoever waits for the same, as answers do, goes before a slice.
    await undefined;
    const nowMs = performance.now();
    const elseMs = this.#due.length > manyStreams ? maxSliceMs : nowMs - this.#scheduledMs;
    const untilMs = nowMs + Math.min(maxSliceMs, Math.max(minSliceMs, elseMs));
    do {
      const stream = this.#due.shift();
      if (!stream) break;
      this.#again.delete(stream);
      if (!stream.sweep(untilMs)) continue;
      this.#again.add(stream);
      this.#due.push(stream);
    } while (this.#due.length > 0 && performance.now() < untilMs);
    this.#isScheduled = false;
    if (this.#due.length > 0) this.#schedule();
  }
}
