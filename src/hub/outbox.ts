import type { Piece } from "./delivery.ts";
import { type Outlet, written } from "./outlet.ts";

/** What the outboxes of one service share. */
export interface OutboxOptions {
  /** Bytes that may wait for a connection, those in its outlet included. */
  readonly sendBufferBytes: number;
  /** Told of each message that stopped mattering while it waited, and is not written to that connection. */
  readonly onDropped: (reason: "collapsed" | "expired") => void;
}

/** Bytes that may wait in an outlet, from which nothing can be taken back, unless a single write is larger. */
const maxAheadBytes = 64 * 1024;

/**
 * True when the next bytes may go straight to the outlet, since little waits there. Where nothing waits they may be of any
 * size: else no resume could ever bring a large message over.
 */
export function keepsUp({ writableLength }: Outlet, bytes: number, sendBufferBytes: number): boolean {
  return writableLength === 0 || writableLength + bytes <= Math.min(maxAheadBytes, sendBufferBytes / 4);
}

/**
 * What waits for one connection whose client is slow to read, in order, in front of the outlet. Here a newer message takes
 * the place of the older one with its collapse key, and what has expired is dropped. An outbox is made when something has
 * to wait and is used until it is empty.
 */
export class Outbox {
  readonly #outlet: Outlet;
  readonly #options: OutboxOptions;
  /** In the order of their coming, by the collapse key where there is one. */
  readonly #pieces = new Map<string | Piece, Piece>();
  #bytes = 0;
  /** Nothing here expires before, in ms since the Unix epoch. */
  #nextExpiryMs = Number.POSITIVE_INFINITY;

  /** @param onEmpty called once, when everything is written: from then on the outlet is written to directly again */
  constructor(outlet: Outlet, options: OutboxOptions, onEmpty: () => void) {
    this.#outlet = outlet;
    this.#options = options;
    void this.#writeOn(onEmpty);
  }

  /** Bytes that wait here, without those in the outlet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lets pieces wait behind the others; false when too much waits then, of what still matters. */
  add(pieces: readonly Piece[]): boolean {
    for (const piece of pieces) this.#put(piece);
    if (this.#isOverfull()) this.#dropExpired();
    return !this.#isOverfull();
  }

  /** Writes everything at once, since the connection is about to be closed. */
  flush(): void {
    this.#dropExpired();
    this.#outlet.cork();
    for (const { bytes } of this.#pieces.values()) this.#outlet.write(bytes);
    this.#outlet.uncork();
    this.clear();
  }

  /** Lets go of everything. */
  clear(): void {
    this.#pieces.clear();
    this.#bytes = 0;
  }

  #isOverfull(): boolean {
    return this.#outlet.writableLength + this.#bytes > this.#options.sendBufferBytes;
  }

  #put(piece: Piece): void {
    const key = piece.collapseKey ?? piece;
    this.#remove(key, "collapsed");
    this.#pieces.set(key, piece);
    this.#bytes += piece.bytes.length;
    this.#nextExpiryMs = Math.min(this.#nextExpiryMs, piece.expiresAtMs);
  }

  #remove(key: string | Piece, dropped?: "collapsed" | "expired"): void {
    const piece = this.#pieces.get(key);
    if (!piece) return;
    this.#pieces.delete(key);
    this.#bytes -= piece.bytes.length;
    if (dropped) this.#options.onDropped(dropped);
  }

  #dropExpired(): void {
    const nowMs = Date.now();
    if (nowMs < this.#nextExpiryMs) return;
    this.#nextExpiryMs = Number.POSITIVE_INFINITY;
    for (const [key, { expiresAtMs }] of this.#pieces) {
      if (expiresAtMs <= nowMs) this.#remove(key, "expired");
      else this.#nextExpiryMs = Math.min(this.#nextExpiryMs, expiresAtMs);
    }
  }

  async #writeOn(onEmpty: () => void): Promise<void> {
    do {
      await written(this.#outlet);
      if (!this.#outlet.writable) return;
      this.#writeSome();
    } while (this.#pieces.size > 0);
    onEmpty();
  }

  #writeSome(): void {
    this.#dropExpired();
    this.#outlet.cork();
    for (const [key, { bytes }] of this.#pieces) {
      if (!keepsUp(this.#outlet, bytes.length, this.#options.sendBufferBytes)) break;
      this.#remove(key);
      this.#outlet.write(bytes);
    }
    this.#outlet.uncork();
  }
}
