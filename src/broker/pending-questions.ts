interface Pending {
  readonly answers: unknown[];
  expected: number;
  readonly settle: () => void;
}

/** The questions that this replica has asked and not yet heard all answers to. */
export class PendingQuestions {
  readonly #timeoutMs: number;
  readonly #pending = new Map<string, Pending>();
  #count = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Asks, and waits until as many answers are in as there are replicas that were asked, or until the time is over.
   *
   * @param send sends the question under the given request id and resolves with the number of replicas it reached
   * @returns the answers that came in time; rejects as `send` does
   */
  async ask(send: (request: string) => Promise<number>): Promise<unknown[]> {
    const request = String(++this.#count);
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const pending: Pending = { answers: [], expected: Number.POSITIVE_INFINITY, settle: resolve };
    const timer = setTimeout(resolve, this.#timeoutMs);
    this.#pending.set(request, pending);
    try {
      pending.expected = await send(request);
      if (pending.answers.length < pending.expected) await settled;
      return pending.answers;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(request);
    }
  }

  /** An answer came in; one to a question that is no longer open is dropped. */
  answered(request: string, answer: unknown): void {
    const pending = this.#pending.get(request);
    if (!pending) return;
    pending.answers.push(answer);
    if (pending.answers.length >= pending.expected) pending.settle();
  }

  /** Lets every open question end with what it has. */
  close(): void {
    for (const pending of this.#pending.values()) pending.settle();
  }
}
