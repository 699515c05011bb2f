import type { Message } from "../broker/broker.ts";

/**
 * A message on its way to the connections of this replica. What a transport makes of it is made once, here, and shared by
 * all connections of that transport.
 */
export class Delivery {
  static readonly #deliveries = new WeakMap<Message, Delivery>();
  readonly message: Message;
  readonly #encoded = new Map<unknown, Buffer>();

  constructor(message: Message) {
    this.message = message;
  }

  /** The delivery of a message, the same whenever it is asked for: those who resume together share its bytes too. */
  static of(message: Message): Delivery {
    let delivery = Delivery.#deliveries.get(message);
    if (!delivery) {
      delivery = new Delivery(message);
      Delivery.#deliveries.set(message, delivery);
    }
    return delivery;
  }

  /** The message's bytes in the given encoding, made on first use. */
  encodedBy(encode: (message: Message) => Buffer): Buffer {
    let bytes = this.#encoded.get(encode);
    if (!bytes) {
      bytes = encode(this.message);
      this.#encoded.set(encode, bytes);
    }
    return bytes;
  }
}
