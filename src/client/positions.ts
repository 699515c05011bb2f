import { parseId } from "../protocol/positions.ts";

/** Keeps a text under a key; `sessionStorage` and `localStorage` do. */
export interface PositionStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Streams that are remembered; beyond it the longest unused one is forgotten. */
const maxStreams = 512;

/** How far a client is in each of its streams: what it resumes from, and what it knows a repeated message by. */
export class Positions {
  readonly #ids: Map<string, string>;
  readonly #storage: PositionStorage | undefined;
  readonly #key: string;

  /** @param key under which the storage keeps them */
  constructor(storage: PositionStorage | undefined, key: string) {
    this.#storage = storage;
    this.#key = key;
    this.#ids = new Map(read(storage, key));
  }

  /** The id to resume a stream from; undefined when it was never seen. */
  get(stream: string): string | undefined {
    return this.#ids.get(stream);
  }

  /** The service says where the client is. */
  set(stream: string, id: string): void {
    // Behind the others, so that the longest unused one stands first.
    this.#ids.delete(stream);
    this.#ids.set(stream, id);
    if (this.#ids.size > maxStreams) this.#ids.delete(this.#ids.keys().next().value ?? "");
    this.#save();
  }

  delete(stream: string): void {
    if (this.#ids.delete(stream)) this.#save();
  }

  /** Notes a message; false when it was there before. One that is live only has no place, and is always new. */
  advance(stream: string, id: string): boolean {
    const next = parseId(id);
    if (!next) return true;
    const known = parseId(this.#ids.get(stream) ?? "");
    if (known?.epoch === next.epoch && next.offset <= known.offset) return false;
    this.set(stream, id);
    return true;
  }

  #save(): void {
    try {
      this.#storage?.setItem(this.#key, JSON.stringify([...this.#ids]));
    } catch {
      // Full or forbidden: then a reload begins live.
    }
  }
}

function read(storage: PositionStorage | undefined, key: string): [string, string][] {
  try {
    const entries = JSON.parse(storage?.getItem(key) ?? "[]") as [string, string][];
    return entries.filter(([stream, id]) => typeof stream === "string" && parseId(id) !== undefined);
  } catch {
    return [];
  }
}
