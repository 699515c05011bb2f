import { nowNs } from "./clock.ts";
import { Histogram } from "./histogram.ts";

/** How much is published, and how fast. */
export interface Phase {
  /** Messages; default: no bound. */
  readonly messages?: number | undefined;
  /** Time, in s; default: no bound. */
  readonly seconds?: number | undefined;
  /** Messages a second on a fixed schedule, over all connections; default: each as soon as the one before is answered. */
  readonly rate?: number | undefined;
}

/** What came of a phase. */
export interface PublishReport {
  /** First request and last answer, in ns on the clock of `nowNs`. */
  readonly startNs: number;
  readonly endNs: number;
  /** Answers by their status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Messages that the server took. */
  readonly accepted: number;
  /** Messages that it did not take. */
  readonly refused: number;
  /** Requests without an answer. */
  readonly failed: number;
  /** Messages that were due and not sent, since no connection was free. */
  readonly late: number;
  /** Why requests failed, where they did. */
  readonly failure: string | undefined;
  /** Counts of a histogram: ns from when a request was sent, or should have been, until its answer. */
  readonly latency: Uint32Array<ArrayBuffer>;
}

/** A phase under way: when the next shot is due, and what came of those before. */
export class PublishPhase {
  readonly #shotMessages: number;
  readonly #limit: number;
  /** Time between two shots, in ns; 0 in a closed loop. */
  readonly #stepNs: number;
  readonly #startNs = nowNs();
  readonly #statuses: Record<string, number> = {};
  readonly #latency = new Histogram();
  readonly #ended = Promise.withResolvers<void>();
  #lastNs = this.#startNs;
  #sent = 0;
  #accepted = 0;
  #refused = 0;
  #failed = 0;
  #failure: string | undefined;
  #isOver = false;

  constructor({ messages, seconds, rate }: Phase, shotMessages: number) {
    this.#shotMessages = shotMessages;
    const inTime = rate === undefined || seconds === undefined ? Number.POSITIVE_INFINITY : Math.ceil(seconds * rate);
    this.#limit = Math.min(messages ?? Number.POSITIVE_INFINITY, inTime);
    this.#stepNs = rate === undefined ? 0 : (shotMessages * 1e9) / rate;
  }

  /** True when nothing more is sent. */
  get isOver(): boolean {
    return this.#isOver || this.#sent >= this.#limit;
  }

  /** When the next shot is due, in ns: in a closed loop, now. */
  get dueNs(): number {
    return this.#stepNs === 0 ? nowNs() : this.#startNs + (this.#sent / this.#shotMessages) * this.#stepNs;
  }

  /** Time without an answer, in ns. */
  get silenceNs(): number {
    return nowNs() - this.#lastNs;
  }

  /** Requests that failed so far. */
  get failed(): number {
    return this.#failed;
  }

  /** Answers, while all of them were refusals. */
  get refusals(): number {
    return this.#accepted === 0 ? this.#latency.count : 0;
  }

  /** Resolves when the phase has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Notes that a shot was sent. */
  sent(): void {
    this.#sent += this.#shotMessages;
  }

  /** Notes an answer. */
  answered(status: number, latencyNs: number, accepted: number, refused: number): void {
    this.#lastNs = nowNs();
    this.#latency.add(latencyNs);
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1;
    this.#accepted += accepted;
    this.#refused += refused;
  }

  /** Notes requests that will have no answer. */
  fail(requests: number, failure: string): void {
    this.#failed += requests;
    this.#failure ??= failure;
  }

  /** From here on nothing is sent. */
  stop(): void {
    this.#isOver = true;
  }

  /** Ends it. */
  end(): void {
    this.#ended.resolve();
  }

  /** What came of it. */
  report(): PublishReport {
    return {
      startNs: this.#startNs,
      endNs: this.#lastNs,
      statuses: this.#statuses,
      accepted: this.#accepted,
      refused: this.#refused,
      failed: this.#failed,
      late: this.#stepNs > 0 && Number.isFinite(this.#limit) ? Math.max(0, this.#limit - this.#sent) : 0,
      failure: this.#failure,
      latency: this.#latency.counts,
    };
  }
}
