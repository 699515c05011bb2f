import type { Message } from "../broker/broker.ts";

/** A live-only message that was handed to connections here. */
export interface LiveMessage {
  readonly id: string;
  /** Key of its stream. */
  readonly stream: string;
  /** Counts the live-only messages of this replica. */
  readonly number: number;
  /** Ids of the connections that have acked it. */
  acked: Set<string> | undefined;
}

/** Live-only messages that are remembered. */
const defaultMaxMessages = 10_000;

/** Acks of all of them together. */
const defaultMaxAcks = 1_000_000;

/** The newest live-only messages that connections here were handed, so that their acks can be told from acks of nothing. */
export class LiveMessages {
  readonly #maxMessages: number;
  readonly #maxAcks: number;
  /** Oldest first. */
  readonly #messages = new Map<string, LiveMessage>();
  #acks = 0;
  #count = 0;

  /**
   * Beyond either bound the oldest messages are forgotten: acks of them are acks of nothing.
   *
   * @param maxMessages default: 10,000
   * @param maxAcks of all messages together; default: 1,000,000
   */
  constructor(maxMessages: number = defaultMaxMessages, maxAcks: number = defaultMaxAcks) {
    this.#maxMessages = maxMessages;
    this.#maxAcks = maxAcks;
  }

  /** How many there were. */
  get count(): number {
    return this.#count;
  }

  get(id: string): LiveMessage | undefined {
    return this.#messages.get(id);
  }

  add({ id, stream }: Message): void {
    this.#messages.set(id, { id, stream: stream.key, number: ++this.#count, acked: undefined });
    if (this.#messages.size > this.#maxMessages) this.#forget();
  }

  /** A connection has acked a message. */
  ack(message: LiveMessage, connection: string): void {
    message.acked ??= new Set();
    if (message.acked.has(connection)) return;
    message.acked.add(connection);
    this.#acks++;
    while (this.#acks > this.#maxAcks) this.#forget();
  }

  /** Forgets the oldest. */
  #forget(): void {
    for (const [id, { acked }] of this.#messages) {
      this.#messages.delete(id);
      this.#acks -= acked?.size ?? 0;
      return;
    }
  }
}
