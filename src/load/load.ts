import { Audience, type AudiencePlan } from "./audience.ts";
import type { Percentiles } from "./histogram.ts";
import { Histogram } from "./histogram.ts";
import type { Phase } from "./publish-phase.ts";
import { Publisher } from "./publisher.ts";
import type { PublishPlan } from "./publishing.ts";

/** Who listens and who publishes. */
export interface LoadPlan {
  readonly audience: AudiencePlan;
  readonly publisher: PublishPlan;
  /** Indexes of the users or topics that the n-th connection hears. Default: the n-th, or every broadcast. */
  readonly heardBy?: (index: number) => readonly number[];
}

/** What came of a phase. */
export interface LoadReport {
  /** From the first request until the last message came, in s. */
  readonly seconds: number;
  /** Messages that the server took, that it did not take, requests without an answer, messages not sent in time. */
  readonly accepted: number;
  readonly refused: number;
  readonly failed: number;
  readonly late: number;
  readonly failure: string | undefined;
  readonly statuses: Readonly<Record<string, number>>;
  /** Messages a second that the server took. */
  readonly acceptedPerSecond: number;
  /** Messages that came, over all connections; those that did not; those that came beyond what was sent. */
  readonly deliveries: number;
  readonly lost: number;
  readonly extra: number;
  readonly deliveriesPerSecond: number;
  readonly bytes: number;
  /** Messages in one read of a socket. */
  readonly messagesPerRead: number;
  /** From when a message was sent, or should have been, until it came, in ns. */
  readonly latency: Percentiles;
  /** Until the answer to its request came. */
  readonly publishLatency: Percentiles;
  /** Messages looked into, and those of them that came compressed. */
  readonly samples: number;
  readonly compressedSamples: number;
  readonly pings: number;
  /** Connections that the server has closed, by close code. */
  readonly closes: Readonly<Record<string, number>>;
}

/** An audience and a publisher at one server. */
export class Load {
  readonly audience: Audience;
  readonly publisher: Publisher;
  readonly #plan: LoadPlan;

  private constructor(plan: LoadPlan, audience: Audience, publisher: Publisher) {
    this.#plan = plan;
    this.audience = audience;
    this.publisher = publisher;
  }

  /** Connects all; rejects when that fails, and nothing is left open. */
  static async open(plan: LoadPlan, onReady?: () => void): Promise<Load> {
    const audience = new Audience(plan.audience);
    try {
      await audience.open(plan.audience.connections, onReady);
      return new Load(plan, audience, await Publisher.start(plan.publisher));
    } catch (error) {
      audience.close();
      throw error;
    }
  }

  /** Publishes and waits until everything has come, or nothing comes any more. What came before is forgotten. */
  async run(phase: Phase): Promise<LoadReport> {
    const { audience, publisher } = this;
    audience.reset();
    publisher.acceptedOf.fill(0);
    const published = await publisher.run(phase);
    const isToAll = this.#plan.publisher.to === "broadcast";
    const { heardBy = (index: number) => [isToAll ? 0 : index] } = this.#plan;
    const expected = (index: number) => heardBy(index).reduce((sum, n) => sum + (publisher.acceptedOf[n] ?? 0), 0);
    const { lost, extra } = await audience.settle(expected);
    const { tally } = audience;
    const { startNs, endNs, latency, ...counts } = published;
    const seconds = (Math.max(tally.lastNs, endNs) - startNs) / 1e9;
    return {
      ...counts,
      seconds,
      acceptedPerSecond: counts.accepted / ((endNs - startNs) / 1e9 || 1),
      deliveries: tally.messages,
      lost,
      extra,
      deliveriesPerSecond: tally.messages / seconds,
      bytes: tally.bytes,
      messagesPerRead: tally.messages / Math.max(1, tally.reads),
      latency: tally.latency.percentiles(),
      publishLatency: new Histogram(latency).percentiles(),
      samples: tally.samples,
      compressedSamples: tally.compressedSamples,
      pings: tally.pings,
      closes: audience.closes,
    };
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.audience.close();
    await this.publisher.close();
  }
}
