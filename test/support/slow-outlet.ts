import { Writable } from "node:stream";
import { settled } from "./fake-broker.ts";

/** A stream that takes what is written when the test says so, as the socket of a client that is slow to read. */
export class SlowOutlet extends Writable {
  /** Everything that was taken, in order, as it was written. */
  readonly taken: Buffer[] = [];
  #take: (() => void) | undefined;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this._writev([{ chunk }], done);
  }

  override _writev(chunks: readonly { chunk: Buffer }[], done: () => void): void {
    this.#take = () => {
      this.taken.push(...chunks.map(({ chunk }) => chunk).filter(({ length }) => length > 0));
      done();
    };
  }

  /** Takes what was written at once; false when nothing waits. */
  async take(): Promise<boolean> {
    const take = this.#take;
    this.#take = undefined;
    take?.();
    await settled();
    return take !== undefined;
  }

  /** Takes everything, also what is written meanwhile. */
  async takeAll(): Promise<void> {
    // What is gathered in this turn is written at its end.
    await settled();
    while (await this.take());
  }
}

/** The JSON of WebSocket text frames shorter than 64 KiB. */
export function jsonOfFrames(bytes: Buffer): Record<string, unknown>[] {
  const frames: Record<string, unknown>[] = [];
  for (let at = 0; at < bytes.length; ) {
    const isLong = bytes[at + 1] === 126;
    const begin = at + (isLong ? 4 : 2);
    const end = begin + (isLong ? bytes.readUInt16BE(at + 2) : (bytes[at + 1] ?? 0));
    frames.push(JSON.parse(bytes.subarray(begin, end).toString()));
    at = end;
  }
  return frames;
}
