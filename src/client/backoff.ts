/** Longest pause before the first retry, in ms; it doubles with each failure. */
const firstMs = 500;

/** Longest pause, in ms. */
const maxMs = 30_000;

/**
 * A pause before trying again, in ms: a random part of a window that doubles with each failure, so that a crowd that was
 * disconnected together does not come back together.
 *
 * @param failures failures in a row, 0 or more
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ (full jitter)
 */
export function backoffMs(failures: number, random = Math.random()): number {
  return random * Math.min(maxMs, firstMs * 2 ** failures);
}
