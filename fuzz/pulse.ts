import { Agent, get } from "node:http";

/** Longest wait for an answer, in ms. */
const timeoutMs = 30_000;

/**
 * Asks /healthz one time after the other. Says how long that takes, and by its beat how far the service is: what was sent
 * before a question has been read when its answer is there.
 */
export class Pulse {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #latenciesMs: number[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #onFailure: (detail: string) => void;
  #isStopped = false;

  constructor(port: number, onFailure: (detail: string) => void) {
    this.#port = port;
    this.#onFailure = onFailure;
  }

  /** Asks until it is stopped. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      const startMs = performance.now();
      const answer = await this.#ask().catch((error: unknown) => String(error));
      if (this.#isStopped) break;
      if (answer !== 200) this.#onFailure(`/healthz was answered ${answer}`);
      else this.#latenciesMs.push(performance.now() - startMs);
      for (const wake of [...this.#waiting]) wake();
      if (answer !== 200) break;
    }
    this.#isStopped = true;
    for (const wake of [...this.#waiting]) wake();
    this.#agent.destroy();
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Calls back when so many questions that begin from now on have been answered; give it up with what is returned. */
  after(beats: number, callback: () => void): () => void {
    // The one under way may have been read before.
    let left = beats + 1;
    const wake = () => {
      if (--left > 0 && !this.#isStopped) return;
      this.#waiting.delete(wake);
      callback();
    };
    this.#waiting.add(wake);
    return () => void this.#waiting.delete(wake);
  }

  /** The latency that a share of the questions did not exceed, in ms. */
  percentileMs(share: number): number {
    const sorted = this.#latenciesMs.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  }

  #ask(): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const options = {
      agent: this.#agent,
      host: "127.0.0.1",
      port: this.#port,
      path: "/healthz",
      signal: AbortSignal.timeout(timeoutMs),
    };
    get(options, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    }).on("error", reject);
    return promise;
  }
}
