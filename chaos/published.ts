import { type Position, parseId } from "../src/protocol/positions.ts";
import type { Report, Violation } from "./violation.ts";

/** A message as history keeps it. */
export interface Stored {
  readonly id: string;
  readonly key: string;
}

/** What is known of one epoch of a stream, from whoever saw it. */
class Epoch {
  readonly keys = new Map<number, string>();
  readonly offsets = new Map<string, number>();
  readonly accepted = new Set<number>();
  /** Offsets known to stand for more than one message, each with the keys beside the first. */
  readonly contradictions = new Set<string>();
  last = 0;
}

/** What {@link Published} needs beside itself. */
interface PublishedOptions {
  readonly stream: string;
  readonly report: Report;
  /** How often everything was deleted so far. */
  readonly flushes: () => number;
}

/** What was published to one stream, by all that publishers, clients and its history say of it. */
export class Published {
  readonly #options: PublishedOptions;
  /** In the order in which they were first seen. */
  readonly #epochs = new Map<string, Epoch>();
  /** Accepted after the last flush so far: their epoch must be the one that remains. */
  readonly #sinceFlush: { readonly position: Position; readonly flushes: number }[] = [];
  #stored: { readonly epoch: string; readonly offsets: ReadonlySet<number> } | undefined;

  constructor(options: PublishedOptions) {
    this.#options = options;
  }

  /** A publish was answered with 202. @param flushes as they were before the request was sent */
  accept(id: string, key: string, flushes: number): void {
    const position = parseId(id);
    if (!position) {
      this.#report({ kind: "protocol", detail: `202 with the id ${id}` });
      return;
    }
    this.#note(position, key).accepted.add(position.offset);
    this.#sinceFlush.push({ position, flushes });
  }

  /** Somebody saw a message. */
  note(position: Position, key: string): void {
    this.#note(position, key);
  }

  /** Somebody saw an epoch. */
  enter(epoch: string): void {
    this.#epoch(epoch);
  }

  /** The whole history, read when everything is over. */
  store(epoch: string, messages: readonly Stored[]): void {
    const offsets = new Set<number>();
    const sequences = new Map<string, number>();
    let last = 0;
    for (const { id, key } of messages) {
      const position = parseId(id);
      if (position?.epoch !== epoch) {
        this.#report({ kind: "history", epoch, detail: `holds ${id}` });
        continue;
      }
      const { offset } = position;
      const between = [last + 1, offset] as const;
      if (offset !== last + 1) this.#report({ kind: "history", epoch, offsets: between, detail: "has a hole" });
      last = offset;
      offsets.add(offset);
      this.#note(position, key);
      // A publisher waits for its answer before it goes on, so its messages stand in its order.
      const [publisher = "", sequence] = key.split("-");
      if (Number(sequence) < (sequences.get(publisher) ?? 0)) {
        this.#report({ kind: "history", epoch, offsets: [offset, offset], detail: `${key} behind a later one` });
      }
      sequences.set(publisher, Number(sequence));
    }
    this.#stored = { epoch, offsets };
  }

  /** The newest message that is known, in the epoch of the history where that is known, else the one that was seen last. */
  get newest(): Position {
    const epoch = this.#stored?.epoch ?? [...this.#epochs.keys()].at(-1) ?? "";
    return { epoch, offset: this.#epochs.get(epoch)?.last ?? 0 };
  }

  /** Reports what was accepted and is not there. */
  finish(): void {
    const { epoch } = this.newest;
    const stored = this.#stored;
    for (const offset of stored ? (this.#epochs.get(epoch)?.accepted ?? []) : []) {
      if (stored?.offsets.has(offset)) continue;
      const detail = "answered 202, and not in history";
      this.#report({ kind: "history", epoch, offsets: [offset, offset], detail });
    }
    for (const { position, flushes } of this.#sinceFlush) {
      if (flushes < this.#options.flushes() || position.epoch === epoch) continue;
      const offsets = [position.offset, position.offset] as const;
      this.#report({ kind: "epoch", epoch: position.epoch, offsets, detail: `history is in ${epoch}` });
    }
  }

  #epoch(name: string): Epoch {
    let epoch = this.#epochs.get(name);
    if (!epoch) {
      epoch = new Epoch();
      this.#epochs.set(name, epoch);
      const flushes = this.#options.flushes();
      if (this.#epochs.size > flushes + 1) {
        const detail = `epoch number ${this.#epochs.size} after ${flushes} flushes`;
        this.#report({ kind: "epoch", epoch: name, detail });
      }
    }
    return epoch;
  }

  /** An offset has one key and a key has one offset, whoever looks. */
  #note({ epoch: name, offset }: Position, key: string): Epoch {
    const epoch = this.#epoch(name);
    epoch.last = Math.max(epoch.last, offset);
    const knownKey = epoch.keys.get(offset);
    if (knownKey === key) return epoch;
    if (knownKey !== undefined) {
      const detail = `is ${knownKey} and ${key}`;
      if (epoch.contradictions.has(`${offset} ${key}`)) return epoch;
      epoch.contradictions.add(`${offset} ${key}`);
      this.#report({ kind: "content", epoch: name, offsets: [offset, offset], detail });
      return epoch;
    }
    epoch.keys.set(offset, key);
    const knownOffset = epoch.offsets.get(key);
    if (knownOffset === undefined) epoch.offsets.set(key, offset);
    else {
      const offsets = [Math.min(offset, knownOffset), Math.max(offset, knownOffset)] as const;
      this.#report({ kind: "idempotency", epoch: name, offsets, detail: `${key} was published twice` });
    }
    return epoch;
  }

  #report(violation: Violation): void {
    this.#options.report({ ...violation, stream: this.#options.stream });
  }
}
