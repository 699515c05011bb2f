import { Fifo } from "../fifo.ts";

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
  isLate: boolean;
}

/** Bounds the bytes that are on their way at a time: who brings more waits, in the order of coming. */
export class Room {
  readonly #maxBytes: number;
  readonly #waiting = new Fifo<Waiter>();
  #used = 0;

  /** @param maxBytes with so many on their way nothing more is let in; what is let in below may be larger than the rest */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes room, whether it is there or not. */
  take(bytes: number): void {
    this.#used += bytes;
  }

  /** Takes room if there is some and nobody waits for it. */
  tryTake(bytes: number): boolean {
    if (this.#used >= this.#maxBytes || this.#waiting.length > 0) return false;
    this.#used += bytes;
    return true;
  }

  /**
   * Takes room when there is some and it is one's turn.
   *
   * @returns false when that was not within the time; nothing is taken then
   */
  async wait(bytes: number, timeoutMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiter: Waiter = { bytes, admit: () => resolve(true), isLate: false };
    this.#waiting.push(waiter);
    const timer = setTimeout(() => {
      waiter.isLate = true;
      resolve(false);
    }, timeoutMs);
    const isAdmitted = await promise;
    clearTimeout(timer);
    return isAdmitted;
  }

  /** Gives room back. */
  give(bytes: number): void {
    this.#used -= bytes;
    while (this.#used < this.#maxBytes && this.#waiting.length > 0) {
      const waiter = this.#waiting.shift();
      if (!waiter || waiter.isLate) continue;
      this.#used += waiter.bytes;
      waiter.admit();
    }
  }
}
