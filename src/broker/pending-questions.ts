import { BelfryError } from "../errors.ts";
import type { Answers, AskOptions } from "./broker.ts";

interface Pending {
  readonly answers: unknown[];
  readonly isLast: AskOptions["isLast"];
  expected: number;
  /** True when no more answers are wanted. */
  over: boolean;
  readonly settle: () => void;
}

/** Longest wait for the answers to a question unless the asker says otherwise, in ms. */
const defaultTimeoutMs = 1000;

/** Questions open at once; they are small, and end by themselves. */
const defaultMaxOpen = 50_000;

/** The questions that this replica has asked and not yet heard all answers to. */
export class PendingQuestions {
  readonly #maxOpen: number;
  readonly #pending = new Map<string, Pending>();
  #count = 0;

  /** @param maxOpen most questions open at once; default: 50,000 */
  constructor(maxOpen: number = defaultMaxOpen) {
    this.#maxOpen = maxOpen;
  }

  /** Questions open now. */
  get size(): number {
    return this.#pending.size;
  }

  /**
   * Asks, and waits until as many answers are in as there are replicas that were asked, until one says that it is enough,
   * until the asker gives up, or until the time is over.
   *
   * @param send sends the question under the given request id and resolves with the number of replicas it reached
   * @returns what was heard until then; rejects as `send` does
   * @throws BelfryError `unavailable` when too many questions are open
   */
  async ask(send: (request: string) => Promise<number>, options: AskOptions = {}): Promise<Answers> {
    if (this.#pending.size >= this.#maxOpen) {
      throw new BelfryError("unavailable", "too many questions wait for answers", { retryAfterSeconds: 1 });
    }
    const { timeoutMs = defaultTimeoutMs, isLast, signal } = options;
    const request = String(++this.#count);
    const { promise: settled, resolve: settle } = Promise.withResolvers<void>();
    const pending: Pending = { answers: [], isLast, expected: Number.POSITIVE_INFINITY, over: false, settle };
    const end = () => {
      pending.over = true;
      settle();
    };
    const timer = setTimeout(end, timeoutMs);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
    this.#pending.set(request, pending);
    try {
      pending.expected = await send(request);
      if (!pending.over && pending.answers.length < pending.expected) await settled;
      return { answers: pending.answers, replicas: pending.expected };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      this.#pending.delete(request);
    }
  }

  /** An answer came in; one to a question that is no longer open is dropped. */
  answered(request: string, answer: unknown): void {
    const pending = this.#pending.get(request);
    if (!pending || pending.over) return;
    pending.answers.push(answer);
    if (pending.isLast?.(answer)) pending.over = true;
    if (pending.over || pending.answers.length >= pending.expected) pending.settle();
  }

  /** Lets every open question end with what it has. */
  close(): void {
    for (const pending of this.#pending.values()) {
      pending.over = true;
      pending.settle();
    }
  }
}
