import { setTimeout as pause } from "node:timers/promises";
import { Random } from "../chaos/random.ts";
import { Tally } from "../chaos/report.ts";
import { until } from "../chaos/until.ts";
import { apiCase } from "./api-cases.ts";
import { type ApiDescription, readDescription } from "./api-description.ts";
import type { Case } from "./case.ts";
import type { Configuration } from "./configuration.ts";
import { exchange } from "./exchange.ts";
import { type Footprint, readFootprint } from "./footprint.ts";
import { frameCase } from "./frame-cases.ts";
import { GoodClient } from "./good-client.ts";
import { handshakeCase } from "./handshake-cases.ts";
import type { Options } from "./options.ts";
import { Pulse } from "./pulse.ts";
import { describeCase, escaped, type Finding } from "./report.ts";
import { Service } from "./service.ts";
import { judge } from "./verdict.ts";

/**
 * By how much memory may grow from the first round to the second, which does the same again. Measured are 5 to 25 MiB, less
 * with every further round, since allocators do not give back all that was in use at once; 1 KiB that each of 100,000 cases
 * leaves behind would be 50. What stays on the heap is met earlier: it has an upper limit.
 */
const maxGrowthBytes = 40 * 1024 * 1024;

/** The latency that 99 of 100 questions to /healthz must keep to, in ms. Many cases are under way on the same cores. */
const maxPulseMs = 500;

/** Longest wait until everything is let go of, in ms: longer than the time that a close handshake may take. */
const settleTimeoutMs = 30_000;

/** Files that may be open beside those of the beginning: what Node opens for itself. */
const spareFiles = 3;

/** Looks at the footprint after a round, and the pause before each, in ms; the smallest counts. */
const looks = 4;
const lookEveryMs = 500;

/** Whole input that is small enough that the service has read all of it before it answers. */
const maxReadAtOnceBytes = 16_384;

/** Findings after which a run is given up. */
const maxFindings = 100;

/** All cases against one configuration, twice, and what came of it. */
export class Campaign {
  readonly findings: Finding[] = [];
  readonly tally = new Tally();
  /** At the beginning, and after each round. */
  readonly footprints: Footprint[] = [];
  /** What came of the good client and of /healthz. */
  received = "";
  pulseMs = 0;
  readonly #options: Options;
  readonly #configuration: Configuration;
  readonly #signal: AbortSignal;
  readonly #running = new Set<number>();

  /** @param signal gives it up */
  constructor(options: Options, configuration: Configuration, signal: AbortSignal) {
    this.#options = options;
    this.#configuration = configuration;
    this.#signal = signal;
  }

  /** Runs it all. Everything it started has ended when it settles. */
  async run(): Promise<void> {
    const onFailure = (detail: string) => this.#find(detail, [...this.#running]);
    const service = new Service(this.#configuration, onFailure);
    await service.listening();
    const pulse = new Pulse(service.port, onFailure);
    const client = new GoodClient(service.port, this.#configuration, onFailure);
    await client.connect();
    const publishing = client.publish();
    const beating = pulse.run();
    try {
      await this.#rounds(service, pulse);
    } catch (error) {
      this.#find(`the run broke off: ${error}`, []);
    } finally {
      await client.stop(publishing);
      pulse.stop();
      await beating;
      if (!(await service.end())) this.#find("the service did not end with 0 in time", []);
      this.received = client.received;
      this.pulseMs = pulse.percentileMs(0.99);
      if (this.pulseMs > maxPulseMs) this.#find(`/healthz took ${Math.round(this.pulseMs)} ms (p99)`, []);
    }
  }

  async #rounds(service: Service, pulse: Pulse): Promise<void> {
    const description = readDescription(await service.get("/openapi.json"));
    const { count, only } = this.#options;
    const numbers = only ?? Array.from({ length: Math.ceil(count / 2) }, (_, index) => index + 1);
    this.footprints.push(await this.#look(service));
    for (let round = 0; round < (only ? 1 : 2) && !this.#isGivenUp; round++) {
      await this.#round(numbers, service.port, pulse, description);
      if (!this.#isGivenUp) await this.#settle(service);
    }
    const [, first, second] = this.footprints;
    const grownBytes = (second?.rssBytes ?? 0) - (first?.rssBytes ?? 0);
    if (second && grownBytes > maxGrowthBytes) this.#find(`memory has grown by ${grownBytes} bytes`, []);
  }

  /** Runs cases, so many at once. */
  async #round(numbers: readonly number[], port: number, pulse: Pulse, description: ApiDescription): Promise<void> {
    const waiting = numbers.values();
    const work = async () => {
      for (const number of waiting) {
        if (this.#isGivenUp) return;
        this.#running.add(number);
        await this.#try(number, makeCase(this.#options.seed, number, this.#configuration, description), port, pulse);
        this.#running.delete(number);
      }
    };
    await Promise.all(Array.from({ length: this.#options.concurrency }, work));
  }

  async #try(number: number, input: Case, port: number, pulse: Pulse): Promise<void> {
    const { received, missing } = await exchange(port, input, pulse);
    const { answers, fault } = judge(input, received);
    this.tally.count("kinds", input.kind);
    for (const answer of answers) this.tally.count("answers", answer);
    if (received.length === 0) this.tally.count("answers", "none");
    const found = fault ?? missing ?? silence(input, received);
    if (found !== undefined) this.findings.push({ detail: found, cases: [number], input });
    if (this.#options.only) console.log(`${number}: ${describeCase(input)}\n  received:\n    ${escaped(received)}\n`);
  }

  /** Waits until what the cases have opened is closed, and takes the footprint. */
  async #settle(service: Service): Promise<void> {
    const { connections, files = 0 } = this.footprints[0] ?? { connections: 0 };
    const isLetGo = async () => {
      const now = readFootprint(await service.get("/metrics"));
      return now.connections <= connections && (now.files ?? 0) <= files + spareFiles;
    };
    await until("everything is let go of", isLetGo, settleTimeoutMs, this.#signal).catch(async () => {
      const now = readFootprint(await service.get("/metrics").catch(() => ""));
      this.#find(`${now.connections} connections and ${now.files} files are still open`, []);
    });
    this.footprints.push(await this.#look(service));
  }

  async #look(service: Service): Promise<Footprint> {
    const seen: Footprint[] = [];
    while (seen.length < looks) {
      await pause(lookEveryMs);
      seen.push(readFootprint(await service.get("/metrics")));
    }
    return seen.reduce((least, one) => (one.rssBytes < least.rssBytes ? one : least));
  }

  get #isGivenUp(): boolean {
    return (
      this.#signal.aborted || this.findings.length >= maxFindings || this.findings.some(({ cases }) => cases.length > 1)
    );
  }

  #find(detail: string, cases: readonly number[]): void {
    this.findings.push({ detail, cases });
  }
}

/** The case of a number: the same for the same seed, configuration and description. */
export function makeCase(
  seed: number,
  number: number,
  configuration: Configuration,
  description: ApiDescription,
): Case {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b));
  const dice = random.next();
  if (dice < 0.35) return handshakeCase(random, configuration);
  return dice < 0.65 ? frameCase(random, configuration) : apiCase(random, configuration, description);
}

/** What was to be answered, could be read at once, and was cut without a word. */
function silence({ isAnswered, chunks }: Case, received: Buffer): string | undefined {
  const [chunk] = chunks;
  const isAtOnce = chunks.length === 1 && chunk !== undefined && chunk.length <= maxReadAtOnceBytes;
  return isAnswered && isAtOnce && received.length === 0 ? "the connection was ended without an answer" : undefined;
}
