import type { Message } from "../broker/broker.ts";

/** Writes messages as one transport sends them. */
export type Encode = (messages: readonly Message[]) => Buffer;

/** What waits for a slow connection as one: a frame, one message, or several that matter until they are written. */
export interface Piece {
  readonly bytes: Buffer;
  /** When it stops mattering, in ms since the Unix epoch; Infinity: not by itself. */
  readonly expiresAtMs: number;
  /** The same for all messages of which only the newest matters. */
  readonly collapseKey: string | undefined;
}

/**
 * Messages on their way to the connections of this replica, one or more of one stream, to be written at once. What a
 * transport makes of them is made once, here, and shared by all connections of that transport.
 */
export class Delivery {
  /** Held weakly: a message in history is kept for long, and what was made of it would take as much room again. */
  static readonly #deliveries = new WeakMap<Message, WeakRef<Delivery>>();
  readonly messages: readonly Message[];
  readonly #encoded = new Map<unknown, unknown>();
  #pieces: Map<Encode, readonly Piece[]> | undefined;

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

  /** The messages in the given encoding, made on first use. */
  encodedBy<Encoded>(encode: (messages: readonly Message[]) => Encoded): Encoded {
    let encoded = this.#encoded.get(encode) as Encoded | undefined;
    if (encoded === undefined) {
      encoded = encode(this.messages);
      this.#encoded.set(encode, encoded);
    }
    return encoded;
  }

  /** The same as what waits for slow connections, made on first use: message by message where any may stop mattering. */
  piecesBy(encode: Encode): readonly Piece[] {
    this.#pieces ??= new Map();
    let pieces = this.#pieces.get(encode);
    if (!pieces) {
      pieces =
        this.messages.length > 1 && this.messages.some(mayLapse)
          ? this.messages.map((message) => pieceOf(encode([message]), message))
          : [pieceOf(this.encodedBy(encode), this.messages[0])];
      this.#pieces.set(encode, pieces);
    }
    return pieces;
  }
}

/** Bytes that wait; of a message, with what makes it stop mattering. */
export function pieceOf(bytes: Buffer, message?: Message): Piece {
  const { collapse, stream, expiresAtMs } = message ?? {};
  return {
    bytes: ownBytes(bytes),
    expiresAtMs: expiresAtMs || Number.POSITIVE_INFINITY,
    collapseKey: collapse === undefined ? undefined : JSON.stringify([stream?.key, collapse]),
  };
}

function mayLapse({ collapse, expiresAtMs }: Message): boolean {
  return collapse !== undefined || expiresAtMs > 0;
}

/** In memory of their own: what waits for long would keep the whole pool that small buffers are cut from. */
function ownBytes(bytes: Buffer): Buffer {
  if (bytes.length === bytes.buffer.byteLength) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}
