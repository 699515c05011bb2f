import { setTimeout as pause } from "node:timers/promises";
import type { PostError, SignedPost } from "./signed-post.ts";

/** How often and when a batch is tried. */
export interface RetryPolicy {
  /** Time for an answer, in ms. Default: 5 s. */
  readonly timeoutMs: number;
  /** Tries in all. Default: 8. */
  readonly maxAttempts: number;
  /** Longest pause behind the first try, in ms; twice as long behind each further one. Default: 500. */
  readonly baseDelayMs: number;
  /** Most that `Retry-After` is honoured, in ms. Default: 60 s. */
  readonly maxRetryAfterMs: number;
}

export const defaultRetryPolicy: RetryPolicy = {
  timeoutMs: 5000,
  maxAttempts: 8,
  baseDelayMs: 500,
  maxRetryAfterMs: 60_000,
};

/** What became of events: the backend has taken them; it has not, or could not be reached; nobody tried any more. */
export const results = ["sent", "failed", "dropped"] as const;
export type Result = (typeof results)[number];

/** How a delivery ended, and what the last try was answered. */
export interface Outcome {
  readonly result: Result;
  /** Such as `status 500` or `ECONNREFUSED`. */
  readonly reason: string;
}

/** A try that did not succeed. */
interface Failure {
  readonly reason: string;
  /** True when the next may. */
  readonly isTransient: boolean;
  readonly retryAfterMs: number;
}

/**
 * Posts a batch until it is taken, refused for good, or was tried often enough. What can be tried again is a connection
 * that failed, a timeout, 408, 429 and 5xx.
 *
 * @param id the batch's `webhook-id`
 * @param signal ends it: then the result is `dropped`
 * @param onRetry told of each try that is followed by another
 */
export async function deliver(
  post: SignedPost,
  id: string,
  body: string,
  policy: RetryPolicy,
  signal: AbortSignal,
  onRetry: (attempt: number, reason: string) => void,
): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    if (signal.aborted) return { result: "dropped", reason: "shutting down" };
    const failure = await tryOnce(post, id, body, policy, signal);
    if (!failure) return { result: "sent", reason: "" };
    const { reason, isTransient, retryAfterMs } = failure;
    if (signal.aborted) return { result: "dropped", reason };
    if (!isTransient || attempt >= policy.maxAttempts) return { result: "failed", reason };
    onRetry(attempt, reason);
    // Full jitter: replicas that failed together do not come back together.
    const backoffMs = Math.random() * policy.baseDelayMs * 2 ** (attempt - 1);
    const delayMs = Math.max(backoffMs, Math.min(retryAfterMs, policy.maxRetryAfterMs));
    await pause(delayMs, undefined, { signal }).catch(() => {});
  }
}

/** @returns undefined when the batch was taken */
async function tryOnce(
  post: SignedPost,
  id: string,
  body: string,
  { timeoutMs }: RetryPolicy,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  try {
    const { status, retryAfterMs = 0 } = await post.send(id, body, { timeoutMs, signal });
    if (status >= 200 && status < 300) return undefined;
    const isTransient = status === 408 || status === 429 || status >= 500;
    return { reason: `status ${status}`, isTransient, retryAfterMs };
  } catch (error) {
    return { reason: (error as PostError).message, isTransient: true, retryAfterMs: 0 };
  }
}
