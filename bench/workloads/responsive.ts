import { Load } from "../../src/load/load.ts";
import { contestants, type Subject } from "../contestants.ts";
import { failuresOf, planOf } from "../measure.ts";
import { type PulseReport, probe } from "../prober.ts";
import type { Column, Figures, Scale, Workload } from "../workload.ts";

const columns: readonly [Column, ...Column[]] = [
  { key: "newcomer", title: "p99 of a newcomer's welcome", unit: "ms", better: "lower" },
  { key: "health", title: "p99 of /healthz", unit: "ms", better: "lower" },
  { key: "newcomerP50", title: "p50 of the welcome", unit: "ms", better: "lower" },
  { key: "healthP50", title: "p50 of /healthz", unit: "ms", better: "lower" },
];

const rivals = [contestants.belfry, contestants.naive, contestants.socketIo, contestants.uws];

function figuresOf({ health, newcomer }: PulseReport, failures: Pick<Figures, "lost" | "refused">): Figures {
  const values = {
    newcomer: newcomer.p99 / 1e6,
    health: health.p99 / 1e6,
    newcomerP50: newcomer.p50 / 1e6,
    healthP50: health.p50 / 1e6,
  };
  return { values, ...failures };
}

async function run(subject: Subject, scale: Scale, size: number, rate: number): Promise<Figures> {
  const connections = scale.connections(10_000);
  const load = await Load.open(planOf(subject, { connections, publishers: 2, size }));
  try {
    const seconds = scale.seconds(8);
    const running = load.run({ rate, seconds });
    const pulse = await probe(subject, connections, { kind: "pulse", seconds });
    return figuresOf(pulse, failuresOf(await running));
  } finally {
    await load.close();
  }
}

/** How long everybody else waits while 10,000 connections get 5 messages a second: a server that is half busy. */
const busy: Workload = {
  name: "responsive",
  title: "10,000 connections, 5 messages a second: how long everybody else waits",
  about: "GET /healthz every 20 ms and a new connection every 50 ms, from when each was due.",
  columns,
  contestants: rivals,
  run: (subject, scale) => run(subject, scale, 128, 5),
};

/** The same while one message of 60 KB goes to 10,000 connections every 4 s: 600 MB that are to be written. */
const huge: Workload = {
  name: "responsive-huge",
  title: "10,000 connections, a message of 60 KB: how long everybody else waits",
  about: "A huge broadcast twice in 8 s, with the same questions meanwhile.",
  columns,
  contestants: rivals,
  run: (subject, scale) => run(subject, scale, 60_000, 0.25),
};

export const responsiveWorkloads = [busy, huge];
