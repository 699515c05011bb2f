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
}

/** Time for deliveries in one turn of the event loop, in ms. */
const sliceMs = 1;

/** Gives all streams that have something to deliver their turns: a slice of time in each turn of the event loop. */
export class Sweeper {
  readonly #due = new Fifo<Sweepable>();
  #isScheduled = false;

  /** Lets a stream have turns until it has nothing more to do. */
  add(stream: Sweepable): void {
    this.#due.push(stream);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    const untilMs = performance.now() + sliceMs;
    do {
      const stream = this.#due.shift();
      if (stream?.sweep(untilMs)) this.#due.push(stream);
    } while (this.#due.length > 0 && performance.now() < untilMs);
    this.#isScheduled = this.#due.length > 0;
    if (this.#isScheduled) setImmediate(this.#turn);
  };
}
