import type { Ack, AckWait, Place, Receiver } from "./receiver.ts";

/** Who of this replica's connections has acked a message that they were handed. */
export interface AcksHere {
  /** How many were handed it, are still there, and have not acked it. */
  readonly missing: number;
  readonly acked: number;
  /** Who has acked it, at most 10,000. */
  readonly acks: readonly Ack[];
}

/** Acks that are waited for at once, over all waits; a wait for more is over at once. */
const defaultMaxWaiting = 1_000_000;

/** Most acks of one replica that are named; the others are counted. */
export const maxNamed = 10_000;

/** Those who wait until the connections here have acked a message. */
export class AckWaits {
  readonly #maxWaiting: number;
  readonly #waits = new Set<AckWait>();
  #waiting = 0;

  /** @param maxWaiting acks that are waited for at once; default: 1,000,000 */
  constructor(maxWaiting: number = defaultMaxWaiting) {
    this.#maxWaiting = maxWaiting;
  }

  /** Acks that are waited for. */
  get size(): number {
    return this.#waiting;
  }

  /**
   * Waits until all have acked a message or have gone, or the time is over.
   *
   * @param receivers those who were handed it
   * @param hasAcked says of each whether it has acked it already
   */
  open(
    place: Place,
    receivers: readonly Receiver[],
    hasAcked: (receiver: Receiver) => boolean,
    timeoutMs: number,
  ): AcksHere | Promise<AcksHere> {
    const missing = new Set(receivers.filter((receiver) => !hasAcked(receiver)));
    const done = receivers.filter((receiver) => !missing.has(receiver));
    const acked = done.length;
    const acks = done.slice(0, maxNamed).map(toAck);
    const isTooMuch = this.#waiting + missing.size > this.#maxWaiting;
    if (missing.size === 0 || isTooMuch) return { missing: missing.size, acked, acks };
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    const wait: AckWait = { place, missing, acked, acks, settle: resolve, timer };
    this.#waits.add(wait);
    this.#waiting += missing.size;
    for (const receiver of missing) {
      if (receiver.waits) receiver.waits.add(wait);
      else receiver.waits = new Set([wait]);
    }
    return promise.then(() => this.#end(wait));
  }

  /** A connection has acked a live-only message, or everything up to an offset. */
  acked(receiver: Receiver, upTo: Place): void {
    for (const wait of receiver.waits ?? []) {
      if (!covers(upTo, wait.place)) continue;
      wait.acked++;
      if (wait.acks.length < maxNamed) wait.acks.push(toAck(receiver));
      this.#leave(wait, receiver);
    }
  }

  /** A connection does not listen to the stream any more: nothing is expected of it. */
  gone(receiver: Receiver): void {
    for (const wait of receiver.waits ?? []) this.#leave(wait, receiver);
  }

  /** All end with what they have. */
  close(): void {
    for (const { settle } of this.#waits) settle();
  }

  #leave(wait: AckWait, receiver: Receiver): void {
    wait.missing.delete(receiver);
    this.#waiting--;
    forget(receiver, wait);
    if (wait.missing.size === 0) wait.settle();
  }

  #end(wait: AckWait): AcksHere {
    const { missing, acked, acks, timer } = wait;
    clearTimeout(timer);
    this.#waits.delete(wait);
    this.#waiting -= missing.size;
    for (const receiver of missing) forget(receiver, wait);
    return { missing: missing.size, acked, acks };
  }
}

/** Names a connection. */
export function toAck({ connection: { user, id } }: Receiver): Ack {
  return { user, connection: id };
}

/** An ack of a stored message is one of every earlier message of its stream; one of a live-only message, of that alone. */
function covers(upTo: Place, place: Place): boolean {
  return typeof upTo === "number" ? typeof place === "number" && place <= upTo : place === upTo;
}

function forget(receiver: Receiver, wait: AckWait): void {
  receiver.waits?.delete(wait);
  if (receiver.waits?.size === 0) receiver.waits = undefined;
}
