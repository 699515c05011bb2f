import { nowNs } from "./clock.ts";
import { type Phase, PublishPhase, type PublishReport } from "./publish-phase.ts";
import { type Answer, PublisherConnection } from "./publisher-connection.ts";
import type { ShotPlan } from "./shot.ts";

/** Longest wait for an answer, in ns: then the phase ends, and says so. */
const patienceNs = 10e9;

/** Failed requests after which a phase ends: a server that is gone is not asked in a loop. */
const maxFailures = 100;

/** Answers after which a phase ends when every one of them was a refusal. */
const maxRefusals = 100;

/** What publishers there are. */
export interface PublishPlan extends ShotPlan {
  readonly connections: number;
}

/** Keep-alive connections that publish in a closed loop or at a rate. One phase at a time. */
export class Publishing {
  readonly #plan: PublishPlan;
  readonly #acceptedOf: Uint32Array;
  readonly #connections: PublisherConnection[];
  #free: PublisherConnection[] = [];
  #phase: PublishPhase | undefined;
  #wake: NodeJS.Timeout | undefined;
  /** Number of the next message, over all phases. */
  #number = 0;

  /** @param acceptedOf where accepted messages are counted: for each name, or in the first place for broadcasts */
  constructor(plan: PublishPlan, acceptedOf: Uint32Array) {
    this.#plan = plan;
    this.#acceptedOf = acceptedOf;
    const events = {
      answered: (answer: Answer) => this.#answered(answer),
      failed: (requests: number, error: Error) => this.#failed(requests, error),
      free: (connection: PublisherConnection) => {
        this.#free.push(connection);
        this.#fire();
      },
    };
    this.#connections = Array.from({ length: plan.connections }, () => new PublisherConnection(plan, events));
  }

  /** Connects all; rejects when one cannot. */
  async connect(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.connect()));
    this.#free = [...this.#connections];
  }

  /** Publishes, and resolves when the last answer is there. */
  async run(plan: Phase): Promise<PublishReport> {
    const phase = new PublishPhase(plan, this.#plan.burst * this.#plan.batch);
    this.#phase = phase;
    const watch = setInterval(() => this.#watch(phase), 1000);
    const end = plan.seconds === undefined ? undefined : setTimeout(() => this.stop(), plan.seconds * 1000);
    this.#fire();
    await phase.ended;
    clearInterval(watch);
    clearTimeout(end);
    clearTimeout(this.#wake);
    this.#phase = undefined;
    return phase.report();
  }

  /** Sends nothing more; the phase ends with the answers to what was sent. */
  stop(): void {
    this.#phase?.stop();
    this.#fire();
  }

  /** Ends all connections. */
  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** Sends what is due, and ends the phase when nothing more is to come. */
  #fire(): void {
    const phase = this.#phase;
    if (!phase) return;
    while (!phase.isOver && this.#free.length > 0) {
      const dueNs = phase.dueNs;
      const waitMs = (dueNs - nowNs()) / 1e6;
      if (waitMs > 0) {
        clearTimeout(this.#wake);
        this.#wake = setTimeout(() => this.#fire(), waitMs);
        return;
      }
      phase.sent();
      this.#free.shift()?.fire(dueNs, this.#number, this.#number % this.#plan.names);
      this.#number += this.#plan.burst * this.#plan.batch;
    }
    if (phase.isOver && this.#free.length === this.#connections.length) phase.end();
  }

  #answered({ status, latencyNs, index, body }: Answer): void {
    const { batch, to, names } = this.#plan;
    const isSuccess = status >= 200 && status < 300;
    const results = isSuccess && batch > 1 ? (JSON.parse(body) as BatchAnswer).results : undefined;
    let accepted = 0;
    for (let i = 0; i < batch; i++) {
      if (!isSuccess || (results && results[i]?.error !== undefined)) continue;
      accepted++;
      const slot = to === "broadcast" ? 0 : (index + i) % names;
      this.#acceptedOf[slot] = (this.#acceptedOf[slot] ?? 0) + 1;
    }
    this.#phase?.answered(status, latencyNs, accepted, batch - accepted);
    if (this.#phase && this.#phase.refusals >= maxRefusals) this.#phase.stop();
  }

  #failed(requests: number, error: Error): void {
    this.#phase?.fail(requests, error.message);
    if (this.#phase && this.#phase.failed >= maxFailures) this.#phase.stop();
  }

  /** Gives up on a server that does not answer. */
  #watch(phase: PublishPhase): void {
    const waiting = this.#connections.filter(({ waiting }) => waiting > 0);
    if (waiting.length === 0 || phase.silenceNs < patienceNs) return;
    phase.stop();
    for (const connection of waiting) connection.close(new Error(`no answer within ${patienceNs / 1e9} s`));
  }
}

interface BatchAnswer {
  readonly results: readonly { readonly error?: unknown }[];
}
