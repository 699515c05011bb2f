import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import type { HistoryPage, Message } from "../broker/broker.ts";
import type { Position } from "../protocol/positions.ts";
import type { Connection } from "./connection.ts";
import { Delivery } from "./delivery.ts";
import type { HistoryReader } from "./history-reader.ts";
import type { Receiver } from "./receiver.ts";
import type { SubscribedStream } from "./subscribed-stream.ts";
import { Tail } from "./tail.ts";

/** Pause before history is asked again after it could not be read, in ms. */
const retryMs = 500;

/** Pause before looking again whether this replica has come to where the client already was, in ms. */
const lagMs = 10;

/**
 * Gives a connection everything of a stream from a place on and then makes it live: history, page by page as fast as the
 * client reads, then what this replica was handed meanwhile, and in the same moment membership. At no point are messages
 * kept for one connection alone. Closes the connection with `position_lost` when history is trimmed before it was read.
 */
export class Recovery {
  /** Resolves when the connection is live, or it has come to nothing. */
  readonly ended: Promise<void>;
  /** Whose it is. */
  readonly receiver: Receiver;
  readonly #subscribed: SubscribedStream;
  readonly #reader: HistoryReader;
  #isCancelled = false;

  /** @param first a page that begins at the place or before, if one was read already */
  constructor(
    receiver: Receiver,
    subscribed: SubscribedStream,
    from: Position,
    reader: HistoryReader,
    first: HistoryPage | undefined,
  ) {
    this.receiver = receiver;
    this.#subscribed = subscribed;
    this.#reader = reader;
    subscribed.recovering ??= new Set();
    subscribed.recovering.add(this);
    subscribed.tail ??= new Tail(subscribed.position?.offset ?? 0);
    this.ended = this.#replay(from, first).finally(() => this.cancel());
  }

  /** Ends it: the connection is given nothing more of the stream, and is not made live. */
  cancel(): void {
    this.#isCancelled = true;
    const subscribed = this.#subscribed;
    subscribed.recovering?.delete(this);
    if (subscribed.recovering?.size === 0) subscribed.recovering = subscribed.tail = undefined;
  }

  async #replay({ epoch, offset: begin }: Position, first: HistoryPage | undefined): Promise<void> {
    const subscribed = this.#subscribed;
    let done = begin;
    let known = first;
    while (this.#isWanted && subscribed.position?.epoch === epoch) {
      const here = subscribed.position.offset;
      const rest = done <= here ? subscribed.tail?.behind(done) : undefined;
      if (rest || done === here) {
        // No await from here to the end: nothing can come in between.
        const isAllDelivered = (rest ?? []).every((message) => this.#connection.deliver(Delivery.of(message)));
        this.cancel();
        if (isAllDelivered) subscribed.fanOut.join(this.receiver);
        return;
      }
      if (done > here) {
        // The client was ahead on another replica.
        await pause(lagMs);
        continue;
      }
      const page = known ?? (await this.#reader.read(subscribed.stream, done).catch(() => undefined));
      known = undefined;
      if (!page) {
        await pause(retryMs);
        continue;
      }
      if (page.epoch !== epoch || page.first > done + 1) break;
      const until = subscribed.position.offset;
      const messages = page.messages.filter(({ position }) => isBetween(done, position?.offset ?? 0, until));
      await this.#deliverAll(messages);
      if (this.#isWanted) subscribed.onGiven?.(messages);
      done = Math.min(page.reaches, until);
      // Others have their turn between two pages.
      await turn();
    }
    if (!this.#isCancelled) this.#connection.close("position_lost");
  }

  get #connection(): Connection {
    return this.receiver.connection;
  }

  get #isWanted(): boolean {
    return !this.#isCancelled && !this.#connection.gone;
  }

  /** Delivers messages, no faster than the client takes them. */
  async #deliverAll(messages: readonly Message[]): Promise<void> {
    const { connection } = this.receiver;
    connection.cork();
    for (const message of messages) {
      const delivery = Delivery.of(message);
      for (let wait = connection.pace(delivery); wait; wait = connection.pace(delivery)) {
        connection.uncork();
        await wait;
        connection.cork();
      }
      if (this.#isCancelled || !connection.deliver(delivery)) break;
    }
    connection.uncork();
  }
}

function isBetween(after: number, offset: number, until: number): boolean {
  return offset > after && offset <= until;
}
