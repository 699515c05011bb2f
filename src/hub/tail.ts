import type { Message } from "../broker/broker.ts";
import { Fifo } from "../fifo.ts";

/** Most messages kept. */
const maxMessages = 1000;

/**
 * The newest messages of a stream, kept while somebody resumes it: whoever has read history up to where the tail begins is
 * given the rest at once and is live, however fast the stream goes on meanwhile. When it is full the oldest goes, and who
 * needed it reads on in history.
 */
export class Tail {
  readonly #messages = new Fifo<Message>();
  #begins: number;

  /** @param position offset behind which the tail begins */
  constructor(position: number) {
    this.#begins = position;
  }

  /** Adds a stored message, the next of its stream. */
  push(message: Message): void {
    this.#messages.push(message);
    if (this.#messages.length > maxMessages) this.#begins = this.#messages.shift()?.position?.offset ?? this.#begins;
  }

  /** Every message behind an offset, or undefined when the tail does not reach back to it. */
  behind(offset: number): Message[] | undefined {
    if (offset < this.#begins) return undefined;
    return [...this.#messages.from(0)].filter(({ position }) => (position?.offset ?? 0) > offset);
  }
}
