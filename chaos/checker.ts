import { type Position, parseId } from "../src/protocol/positions.ts";

/** What can be wrong, in the words of docs/chaos.md. */
type ViolationKind =
  | "loss"
  | "double"
  | "disorder"
  | "recovered"
  | "epoch"
  | "content"
  | "idempotency"
  | "history"
  | "protocol"
  | "process";

/** A promise that was broken, with everything needed to find where. */
export interface Violation {
  readonly kind: ViolationKind;
  /** `broadcast`, or `user:NAME`; undefined when no stream is concerned. */
  readonly stream?: string | undefined;
  /** Undefined when it does not concern one client. */
  readonly client?: string | undefined;
  readonly epoch?: string | undefined;
  /** First and last offset concerned, both included. */
  readonly offsets?: readonly [first: number, last: number] | undefined;
  readonly detail: string;
}

/** What a welcome frame says about one stream. */
export interface StreamWelcome {
  /** The id that the client asked to resume from; undefined on its first connection. */
  readonly since: string | undefined;
  readonly position: string;
  readonly recovered: boolean | undefined;
}

/** A message as history keeps it. */
export interface Stored {
  readonly id: string;
  readonly key: string;
}

/** Where a client is in a stream. */
interface Progress {
  epoch: string;
  /** The newest offset that it was given. */
  cursor: number;
  /** Offsets behind the cursor that it was not given. */
  readonly holes: Set<number>;
  /** The last welcome said that nothing is missing. */
  recovered: boolean;
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

interface StreamTruth {
  /** In the order in which they were first seen. */
  readonly epochs: Map<string, Epoch>;
  readonly clients: Map<string, Progress | undefined>;
  /** Accepted after the last flush so far: their epoch must be the one that remains. */
  readonly sinceFlush: { readonly position: Position; readonly flushes: number }[];
  stored: { readonly epoch: string; readonly offsets: ReadonlySet<number> } | undefined;
}

/**
 * Compares what publishers were promised with what clients saw. Pure: it is told events and knows no socket and no clock.
 * History must be large enough that nothing is trimmed: then all that a client may miss is what a flush took away.
 */
export class Checker {
  readonly #streams = new Map<string, StreamTruth>();
  readonly #violations: Violation[] = [];
  readonly #warnings: Violation[] = [];
  #flushes = 0;
  /** Messages that were given to clients. */
  deliveries = 0;

  /** A client takes part: in the end it must have seen all of these streams behind its first positions. */
  join(client: string, streams: readonly string[]): void {
    for (const stream of streams) this.#stream(stream).clients.set(client, undefined);
  }

  /** All that was stored is about to be deleted on purpose: each stream may begin one more epoch. */
  flushed(): void {
    this.#flushes++;
  }

  /** How often everything was deleted so far; a publisher notes it before it sends. */
  get flushes(): number {
    return this.#flushes;
  }

  /**
   * A publish was answered with 202.
   *
   * @param flushes what {@link flushes} said before the request that was answered was sent
   */
  published(stream: string, id: string, key: string, flushes: number): void {
    const position = parseId(id);
    if (!position) {
      this.violate({ kind: "protocol", stream, detail: `202 with the id ${id}` });
      return;
    }
    this.#note(stream, position, key).accepted.add(position.offset);
    this.#stream(stream).sinceFlush.push({ position, flushes });
  }

  /** A client was welcomed: `welcome` is what the frame says about one stream. */
  welcomed(client: string, stream: string, { since, position: id, recovered }: StreamWelcome): void {
    const truth = this.#stream(stream);
    const position = parseId(id);
    if (!position) {
      this.violate({ kind: "protocol", client, stream, detail: `welcomed at ${id}` });
      return;
    }
    const { epoch, offset } = position;
    this.#epoch(stream, epoch);
    const progress = truth.clients.get(client);
    const asked = since === undefined ? undefined : parseId(since);
    if (!progress || !asked) {
      truth.clients.set(client, { epoch, cursor: offset, holes: new Set(), recovered: true });
      return;
    }
    if (recovered === undefined)
      this.violate({ kind: "protocol", client, stream, detail: "welcome without recovered" });
    progress.recovered = recovered === true;
    if (recovered && (asked.epoch !== epoch || asked.offset !== offset)) {
      const detail = `asked for ${since}, was put at ${id}, and told that nothing is missing`;
      this.violate({ kind: "recovered", client, stream, epoch, detail });
    }
    if (recovered === false && asked.epoch === epoch) {
      this.#warnings.push({ kind: "recovered", client, stream, epoch, detail: `false without cause for ${since}` });
    }
    if (epoch !== progress.epoch) {
      this.#reportHoles(client, stream, progress);
      Object.assign(progress, { epoch, cursor: 0 });
    }
    // What a resumption skips is missed like what a connection skips; what it repeats, it has to say.
    for (let missed = progress.cursor + 1; missed <= offset; missed++) progress.holes.add(missed);
    if (offset > progress.cursor || recovered === false) progress.cursor = offset;
  }

  /** A client was given a message. */
  delivered(client: string, stream: string, id: string, key: string): void {
    this.deliveries++;
    const position = parseId(id);
    const progress = this.#streams.get(stream)?.clients.get(client);
    if (!position || !progress) {
      this.violate({ kind: "protocol", client, stream, detail: `${id} before a welcome, or without a position` });
      return;
    }
    this.#note(stream, position, key);
    const { epoch, offset } = position;
    const where = { client, stream, epoch, offsets: [offset, offset] } as const;
    if (epoch !== progress.epoch) {
      this.violate({ ...where, kind: "epoch", detail: `was ${progress.epoch}, and changed without a new welcome` });
      this.#reportHoles(client, stream, progress);
      Object.assign(progress, { epoch, cursor: offset });
    } else if (offset > progress.cursor) {
      for (let missed = progress.cursor + 1; missed < offset; missed++) progress.holes.add(missed);
      progress.cursor = offset;
    } else if (progress.holes.delete(offset)) {
      this.violate({ ...where, kind: "disorder", detail: `came behind ${progress.cursor}` });
    } else {
      this.violate({ ...where, kind: "double", detail: `came again; the newest was ${progress.cursor}` });
    }
  }

  /** The whole history of a stream, read when everything is over. */
  stored(stream: string, epoch: string, messages: readonly Stored[]): void {
    const offsets = new Set<number>();
    const sequences = new Map<string, number>();
    let last = 0;
    for (const { id, key } of messages) {
      const position = parseId(id);
      if (position?.epoch !== epoch) {
        this.violate({ kind: "history", stream, epoch, detail: `holds ${id}` });
        continue;
      }
      const { offset } = position;
      const between = [last + 1, offset] as const;
      if (offset !== last + 1) this.violate({ kind: "history", stream, epoch, offsets: between, detail: "has a hole" });
      last = offset;
      offsets.add(offset);
      this.#note(stream, position, key);
      // A publisher waits for its answer before it goes on, so its messages stand in its order.
      const [publisher = "", sequence] = key.split("-");
      if (Number(sequence) < (sequences.get(publisher) ?? 0)) {
        this.violate({
          kind: "history",
          stream,
          epoch,
          offsets: [offset, offset],
          detail: `${key} behind a later one`,
        });
      }
      sequences.set(publisher, Number(sequence));
    }
    this.#stream(stream).stored = { epoch, offsets };
  }

  /** Pairs of client and stream that have not seen the newest known message yet. */
  get behind(): number {
    let behind = 0;
    for (const truth of this.#streams.values()) {
      const [epoch, { last }] = currentEpoch(truth);
      for (const progress of truth.clients.values()) if (progress?.epoch !== epoch || progress.cursor < last) behind++;
    }
    return behind;
  }

  /** Reports what only shows at the end: what is still missing. Call it once. */
  finish(): void {
    for (const [stream, truth] of this.#streams) {
      const [epoch, { last, accepted }] = currentEpoch(truth);
      for (const [client, progress] of truth.clients) {
        if (!progress) {
          this.violate({ kind: "loss", client, stream, detail: "was never welcomed" });
          continue;
        }
        this.#reportHoles(client, stream, progress);
        if (progress.epoch !== epoch) {
          const detail = `still in ${progress.epoch}`;
          this.violate({ kind: "loss", client, stream, epoch, offsets: [1, last], detail });
        } else if (progress.cursor < last) {
          const offsets = [progress.cursor + 1, last] as const;
          this.violate({ kind: "loss", client, stream, epoch, offsets, detail: "the newest did not come" });
        }
      }
      const { stored } = truth;
      for (const offset of stored ? accepted : []) {
        if (stored?.offsets.has(offset)) continue;
        const detail = "answered 202, and not in history";
        this.violate({ kind: "history", stream, epoch, offsets: [offset, offset], detail });
      }
      for (const { position, flushes } of truth.sinceFlush) {
        if (flushes < this.#flushes || position.epoch === epoch) continue;
        const offsets = [position.offset, position.offset] as const;
        this.violate({ kind: "epoch", stream, epoch: position.epoch, offsets, detail: `history is in ${epoch}` });
      }
    }
  }

  /** Adds a violation that somebody else found. */
  violate(violation: Violation): void {
    this.#violations.push(violation);
  }

  /** Everything found so far. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  /** What is no broken promise, and still should not happen. */
  get warnings(): readonly Violation[] {
    return this.#warnings;
  }

  #stream(name: string): StreamTruth {
    let truth = this.#streams.get(name);
    if (!truth) {
      truth = { epochs: new Map(), clients: new Map(), sinceFlush: [], stored: undefined };
      this.#streams.set(name, truth);
    }
    return truth;
  }

  #epoch(stream: string, name: string): Epoch {
    const { epochs } = this.#stream(stream);
    let epoch = epochs.get(name);
    if (!epoch) {
      epoch = new Epoch();
      epochs.set(name, epoch);
      if (epochs.size > this.#flushes + 1) {
        const detail = `epoch number ${epochs.size} after ${this.#flushes} flushes`;
        this.violate({ kind: "epoch", stream, epoch: name, detail });
      }
    }
    return epoch;
  }

  /** An offset has one key and a key has one offset, whoever looks. */
  #note(stream: string, { epoch: name, offset }: Position, key: string): Epoch {
    const epoch = this.#epoch(stream, name);
    epoch.last = Math.max(epoch.last, offset);
    const knownKey = epoch.keys.get(offset);
    if (knownKey === key) return epoch;
    if (knownKey !== undefined) {
      const detail = `is ${knownKey} and ${key}`;
      if (epoch.contradictions.has(`${offset} ${key}`)) return epoch;
      epoch.contradictions.add(`${offset} ${key}`);
      this.violate({ kind: "content", stream, epoch: name, offsets: [offset, offset], detail });
      return epoch;
    }
    epoch.keys.set(offset, key);
    const knownOffset = epoch.offsets.get(key);
    if (knownOffset === undefined) epoch.offsets.set(key, offset);
    else {
      const offsets = [Math.min(offset, knownOffset), Math.max(offset, knownOffset)] as const;
      this.violate({ kind: "idempotency", stream, epoch: name, offsets, detail: `${key} was published twice` });
    }
    return epoch;
  }

  #reportHoles(client: string, stream: string, { epoch, holes, recovered }: Progress): void {
    const detail = recovered ? "never came, and recovered was true" : "never came";
    for (const offsets of rangesOf(holes)) this.violate({ kind: "loss", client, stream, epoch, offsets, detail });
    holes.clear();
  }
}

/** The epoch of the history where that is known, else the one that was seen last. */
function currentEpoch({ epochs, stored }: StreamTruth): [name: string, epoch: Epoch] {
  const name = stored?.epoch ?? [...epochs.keys()].at(-1) ?? "";
  return [name, epochs.get(name) ?? new Epoch()];
}

function rangesOf(offsets: ReadonlySet<number>): [first: number, last: number][] {
  const ranges: [first: number, last: number][] = [];
  for (const offset of [...offsets].toSorted((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range && range[1] === offset - 1) range[1] = offset;
    else ranges.push([offset, offset]);
  }
  return ranges;
}
