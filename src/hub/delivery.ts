import type { Message } from "../broker/broker.ts";

/**
 * Messages on their way to the connections of this replica, one or more of one stream, to be written at once. What a
 * transport makes of them is made once, here, and shared by all connections of that transport.
 */
export class Delivery {
  /** Held weakly: a message in history is kept for long, and what was made of it would take as much room again. */
  static readonly #deliveries = new WeakMap<Message, WeakRef<Delivery>>();
  readonly messages: readonly Message[];
  readonly #encoded = new Map<unknown, Buffer>();

  constructor(messages: readonly Message[]) {
    this.messages = messages;
  }

  /** The delivery of a message alone, the same as long as anybody has it: those who resume together share its bytes too. */
  static of(message: Message): Delivery {
    let delivery = Delivery.#deliveries.get(message)?.deref();
    if (!delivery) {
      delivery = new Delivery([message]);
      Delivery.#deliveries.set(message, new WeakRef(delivery));
    }
    return delivery;
  }

  /** The messages' bytes in the given encoding, made on first use. */
  encodedBy(encode: (messages: readonly Message[]) => Buffer): Buffer {
    let bytes = this.#encoded.get(encode);
    if (!bytes) {
      bytes = encode(this.messages);
      this.#encoded.set(encode, bytes);
    }
    return bytes;
  }
}
