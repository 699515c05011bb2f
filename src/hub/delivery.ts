import type { Message } from "../broker/broker.ts";

/**
 * Messages on their way to the connections of this replica, one or more of one stream, to be written at once. What a
 * transport makes of them is made once, here, and shared by all connections of that transport.
 */
export class Delivery {
  static readonly #deliveries = new WeakMap<Message, Delivery>();
  readonly messages: readonly Message[];
  readonly #encoded = new Map<unknown, unknown>();

  constructor(messages: readonly Message[]) {
    this.messages = messages;
  }

  /** The delivery of a message alone, the same whenever it is asked for: those who resume together share its bytes too. */
  static of(message: Message): Delivery {
    let delivery = Delivery.#deliveries.get(message);
    if (!delivery) {
      delivery = new Delivery([message]);
      Delivery.#deliveries.set(message, delivery);
    }
    return delivery;
  }

  /** The messages in the given encoding, made on first use. */
  encodedBy<Encoded>(encode: (messages: readonly Message[]) => Encoded): Encoded {
    let encoded = this.#encoded.get(encode) as Encoded | undefined;
    if (encoded === undefined) {
      encoded = encode(this.messages);
      this.#encoded.set(encode, encoded);
    }
    return encoded;
  }
}
