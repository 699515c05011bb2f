import { until } from "../../chaos/until.ts";
import { Histogram } from "../../src/load/histogram.ts";
import type { PublishReport } from "../../src/load/publish-phase.ts";
import { Publisher } from "../../src/load/publisher.ts";
import { Answering } from "../answering.ts";
import { p50, p99 } from "../columns.ts";
import { type Contestant, contestants, type Subject } from "../contestants.ts";
import { planOf, warmUpSeconds } from "../measure.ts";
import type { Figures, Workload } from "../workload.ts";
import { onRedis, warmUp as replicasWarmUp } from "./replicas.ts";

/** Users that are asked in turns, each with one connection. */
const userCount = 1000;

/** Who asks, and where those are who are asked. */
interface Asking extends Contestant {
  readonly askers: number;
  /** In s. */
  readonly warmUp: number;
}

function askedBy(askers: number, contestant: Contestant, label: string, warmUp: number): Asking {
  return { ...contestant, label: `${label}, ${askers} asker${askers === 1 ? "" : "s"}`, askers, warmUp };
}

const asking: readonly Asking[] = [1, 16, 64].flatMap((askers) => [
  askedBy(askers, contestants.belfry, "Belfry", warmUpSeconds),
  askedBy(askers, onRedis(2), "Belfry, to another replica", replicasWarmUp),
]);

/** Lets something be done with clients that reply, and HTTP connections that ask them. */
async function withAskers<T>(
  subject: Subject,
  { users, askers, burst = 1 }: { readonly users: number; readonly askers: number; readonly burst?: number },
  use: (publisher: Publisher, answering: Answering) => Promise<T>,
): Promise<T> {
  const answering = await Answering.open(subject, users);
  try {
    const shape = { connections: users, publishers: askers, to: "request", burst } as const;
    const publisher = await Publisher.start(planOf(subject, shape).publisher);
    try {
      return await use(publisher, answering);
    } finally {
      await publisher.close();
    }
  } finally {
    answering.close();
  }
}

const secondsOf = ({ startNs, endNs }: PublishReport) => (endNs - startNs) / 1e9;

function failuresOf({ refused, failed }: PublishReport): Pick<Figures, "lost" | "refused"> {
  return { lost: 0, refused: refused + failed };
}

/** A question to a user and the client's reply to it, one after the other: in memory, and from one replica to another. */
const roundTrips: Workload = {
  name: "requests",
  title: "Requests to one user each, 1,000 users who reply at once",
  about: "POST /users/:id/requests until it is answered; each asker asks again when it has its answer.",
  columns: [
    { key: "accepted", title: "requests/s", unit: "", better: "higher" },
    p50,
    p99,
    { key: "cpu", title: "CPU per request", unit: "µs", better: "lower" },
  ],
  contestants: asking,
  run: (subject, scale, contestant) => {
    const { askers, warmUp } = asking.find((one) => one === contestant) as Asking;
    return withAskers(subject, { users: scale.connections(userCount), askers }, async (publisher) => {
      await publisher.run({ seconds: scale.seconds(warmUp) });
      const before = subject.cpuSeconds();
      const report = await publisher.run({ seconds: scale.seconds(4) });
      const latency = new Histogram(report.latency).percentiles();
      const values = {
        accepted: report.accepted / secondsOf(report),
        p50: latency.p50 / 1e6,
        p99: latency.p99 / 1e6,
        cpu: ((subject.cpuSeconds() - before) * 1e6) / report.accepted,
      };
      return { values, ...failuresOf(report) };
    });
  },
};

/** Requests of one HTTP connection, one behind the other, and how often as many are asked and answered. */
const burst = 10;
const times = 6;

/** How long it may take until all requests are with the clients, in ms: theirs ends after 10 s. */
const maxComingMs = 9000;

/** Timers of the server's process, as its metrics count them; one that has none does not name them. */
async function timersOf({ api }: Subject): Promise<number> {
  const text = await (await fetch(`http://${api.host}/metrics`)).text();
  return Number(/^nodejs_active_resources\{type="Timeout"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

/** 10,000 requests that are all open at the same time, again and again: what they take, and whether their timers end. */
const allOpen: Workload = {
  name: "requests-open",
  title: "10,000 requests that wait at the same time, answered when all are there, six times over",
  about: "Timers of the process while all are open and when all are answered; memory before, and the most there was.",
  columns: [
    { key: "answered", title: "requests/s", unit: "", better: "higher" },
    { key: "timers", title: "timers, all open", unit: "", better: "lower" },
    { key: "timersAfter", title: "timers afterwards", unit: "", better: "lower" },
    { key: "before", title: "memory before", unit: "MB", better: "lower" },
    { key: "peak", title: "peak memory", unit: "MB", better: "lower" },
  ],
  contestants: [contestants.belfry],
  run: (subject, scale) => {
    const users = scale.connections(userCount);
    return withAskers(subject, { users, askers: users, burst }, async (publisher, answering) => {
      const before = subject.residentBytes();
      let [seconds, timers, refused] = [0, 0, 0];
      for (let time = 0; time < times; time++) {
        answering.hold();
        const asked = publisher.run({ messages: users * burst });
        await until("all requests are open", () => answering.held === users * burst, maxComingMs);
        if (time === times - 1) timers = await timersOf(subject);
        answering.release();
        const report = await asked;
        seconds += secondsOf(report);
        refused += failuresOf(report).refused;
      }
      const values = {
        answered: (users * burst * times) / seconds,
        timers,
        timersAfter: await timersOf(subject),
        before: before / 2 ** 20,
        peak: subject.peakResidentBytes() / 2 ** 20,
      };
      return { values, lost: 0, refused };
    });
  },
};

export const requestsWorkloads = [roundTrips, allOpen];
