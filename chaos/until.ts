import { setTimeout as pause } from "node:timers/promises";

/** Pause between two looks at a condition, in ms. */
const lookEveryMs = 50;

/**
 * Looks at a condition until it holds; a condition that throws does not hold yet.
 *
 * @param what what is waited for, as it stands in the error
 * @param signal gives it up
 * @throws Error when it does not hold in time, and the signal's reason
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      if (await condition()) return;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause });
    await pause(lookEveryMs);
    signal?.throwIfAborted();
  }
}
