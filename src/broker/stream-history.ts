import { Fifo } from "../fifo.ts";
import { newEpoch, type Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import type { Message } from "./broker.ts";

/** What a stored message costs beside its body: objects, id, queue slots. */
const entryOverheadBytes = 512;

/** A message in history. */
export interface Entry extends Message {
  readonly position: Position;
  readonly log: StreamHistory;
  stored: boolean;
}

/** One stream's life in this process. */
export interface StreamHistory {
  /** Shared by all of its messages. */
  readonly stream: Stream;
  readonly epoch: string;
  offset: number;
  /** The newest offset that is kept no longer although it mattered. */
  lost: number;
  /** Offset up to which it was acked. */
  acked: number;
  /** Oldest first; those that a newer one with their collapse key has replaced stand on for a while, not stored. */
  readonly entries: Fifo<Entry>;
  storedCount: number;
  /** The newest entry of each collapse key; most streams have none. */
  collapsing: Map<string, Entry> | undefined;
}

/** The life of a stream begins. */
export function newHistory(stream: Stream): StreamHistory {
  const epoch = newEpoch();
  return { stream, epoch, offset: 0, lost: 0, acked: 0, entries: new Fifo(), storedCount: 0, collapsing: undefined };
}

/** What an entry counts against the bytes that history may take. */
export function bytesOf({ body }: Entry): number {
  return body.length + entryOverheadBytes;
}

/** Index of the first entry behind an offset; entries stand in the order of their offsets, with holes. */
export function indexBehind(entries: Fifo<Entry>, after: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries.at(middle)?.position.offset ?? 0) > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
