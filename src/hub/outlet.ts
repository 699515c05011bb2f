import type { Writable } from "node:stream";

/** What a connection's bytes are written to: its socket, or what counts what waits in it as Node's streams do. */
export interface Outlet extends Pick<Writable, "cork" | "uncork" | "writable" | "writableLength"> {
  /** @param done called when the bytes have been written, or cannot be */
  write(bytes: Buffer, done?: (error: Error | null | undefined) => void): unknown;
}

const nothing = Buffer.alloc(0);

/**
 * Resolves when all that waits in an outlet now has been written, or when it has ended. An empty write tells, where `drain`
 * would not come: that one is emitted only after more has waited than the stream's high-water mark.
 */
export function written(outlet: Outlet): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  // After an end those who wait ask again and again until the connection is gone: others must have their turn in between.
  outlet.write(nothing, (error) => (error ? setImmediate(resolve) : resolve()));
  return promise;
}
