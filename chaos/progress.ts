import type { Position } from "../src/protocol/positions.ts";
import type { Report, Violation } from "./violation.ts";

/** What {@link Progress} needs beside itself. */
interface ProgressOptions {
  readonly client: string;
  readonly stream: string;
  readonly report: Report;
  /** Takes what is no broken promise, and still should not happen. */
  readonly warn: Report;
}

/** What a client was told when it asked for everything behind a position. */
interface Resumed {
  readonly asked: Position;
  readonly position: Position;
  readonly recovered: boolean | undefined;
}

/** Where one client is in one stream, and what it was not given on the way. */
export class Progress {
  /** It is given messages: always, but in a topic only while its connection is subscribed. */
  isOpen = true;
  readonly #options: ProgressOptions;
  #epoch: string;
  /** The newest offset that it was given. */
  #cursor: number;
  /** Offsets behind the cursor that it was not given. */
  readonly #holes = new Set<number>();
  /** The last welcome said that nothing is missing. */
  #recovered = true;

  /** It begins live, behind a position. */
  constructor({ epoch, offset }: Position, options: ProgressOptions) {
    this.#options = options;
    this.#epoch = epoch;
    this.#cursor = offset;
  }

  /** It begins again, where it is put. */
  resume({ asked, position: { epoch, offset }, recovered }: Resumed): void {
    if (recovered === undefined) this.#report({ kind: "protocol", detail: "resumed, and not told how" });
    this.#recovered = recovered === true;
    const wanted = `${asked.epoch}-${asked.offset}`;
    if (recovered && (asked.epoch !== epoch || asked.offset !== offset)) {
      const detail = `asked for ${wanted}, was put at ${epoch}-${offset}, and told that nothing is missing`;
      this.#report({ kind: "recovered", epoch, detail });
    }
    if (recovered === false && asked.epoch === epoch) {
      this.#options.warn({ kind: "recovered", ...this.#where, epoch, detail: `false without cause for ${wanted}` });
    }
    if (epoch !== this.#epoch) {
      this.finish();
      this.#epoch = epoch;
      this.#cursor = 0;
    }
    // What a resumption skips is missed like what a connection skips; what it repeats, it has to say.
    this.#skip(offset + 1);
    const isRepeated = recovered === false || (recovered && asked.offset < this.#cursor);
    if (offset > this.#cursor || isRepeated) this.#cursor = offset;
  }

  /** It is told again where it is: what it would resume from must be what it has. */
  locate({ epoch, offset }: Position): void {
    if (this.#epoch === epoch && this.#cursor === offset) return;
    const detail = `was told that it is at ${epoch}-${offset}, and had been given ${this.#cursor}`;
    this.#report({ kind: "subscription", epoch: this.#epoch, offsets: [offset, offset], detail });
  }

  /** It was given a message. */
  take({ epoch, offset }: Position): void {
    const what = { epoch, offsets: [offset, offset] } as const;
    if (epoch !== this.#epoch) {
      this.#report({ ...what, kind: "epoch", detail: `was ${this.#epoch}, and changed without a new welcome` });
      this.finish();
      this.#epoch = epoch;
      this.#cursor = offset;
    } else if (offset > this.#cursor) {
      this.#skip(offset);
      this.#cursor = offset;
    } else if (this.#holes.delete(offset)) {
      this.#report({ ...what, kind: "disorder", detail: `came behind ${this.#cursor}` });
    } else {
      this.#report({ ...what, kind: "double", detail: `came again; the newest was ${this.#cursor}` });
    }
  }

  /** Whether it has come to a position. */
  has({ epoch, offset }: Position): boolean {
    return this.#epoch === epoch && this.#cursor >= offset;
  }

  /** Reports what never came. @param newest where everybody must be in the end; undefined: nothing is known to come */
  finish(newest?: Position): void {
    const { epoch } = newest ?? {};
    const detail = this.#recovered ? "never came, and recovered was true" : "never came";
    for (const offsets of rangesOf(this.#holes)) this.#report({ kind: "loss", epoch: this.#epoch, offsets, detail });
    this.#holes.clear();
    if (!newest || this.has(newest)) return;
    const isOfEpoch = this.#epoch === epoch;
    const offsets = [isOfEpoch ? this.#cursor + 1 : 1, newest.offset] as const;
    const lag = isOfEpoch ? "the newest did not come" : `still in ${this.#epoch}`;
    this.#report({ kind: "loss", epoch, offsets, detail: lag });
  }

  /** Everything between the cursor and this offset was not given. */
  #skip(offset: number): void {
    for (let missed = this.#cursor + 1; missed < offset; missed++) this.#holes.add(missed);
  }

  get #where() {
    const { client, stream } = this.#options;
    return { client, stream };
  }

  #report(violation: Violation): void {
    this.#options.report({ ...violation, ...this.#where });
  }
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
