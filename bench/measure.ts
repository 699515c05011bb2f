import { Load, type LoadPlan, type LoadReport } from "../src/load/load.ts";
import type { Phase } from "../src/load/publish-phase.ts";
import type { Target } from "../src/load/shot.ts";
import { namePrefix, type Subject } from "./contestants.ts";
import { type Figures, NotOffered, type Scale } from "./workload.ts";

/** How long is published before it counts, in s: a server that has just started is still being compiled. */
export const warmUpSeconds = 2;

/** What a load looks like; the rest is as usual. */
export interface LoadShape {
  readonly connections: number;
  readonly publishers: number;
  readonly size?: number;
  readonly to?: Target;
  /** Users or topics that take turns. Default: as many as connections. */
  readonly names?: number;
  /** See {@link LoadPlan.heardBy}. */
  readonly heardBy?: LoadPlan["heardBy"];
  readonly burst?: number;
  readonly batch?: number;
  readonly compression?: boolean;
  /** In s; several processes that share a core need longer. */
  readonly warmUp?: number;
  /** Every how many messages one is looked into; a prime. */
  readonly sampleEvery?: number;
}

/** A measured load. */
export interface Measured {
  readonly report: LoadReport;
  /** CPU time of all that serves, in s, and of Redis alone. */
  readonly cpuSeconds: number;
  readonly redisCpuSeconds: number;
}

/** The plan of a load against a server. */
export function planOf(subject: Subject, shape: LoadShape): LoadPlan {
  const { connections, publishers, size = 128, to = "broadcast", burst = 1, batch = 1 } = shape;
  const { names = connections, heardBy, compression = false, sampleEvery = 101 } = shape;
  const { api: endpoint, headers } = subject;
  return {
    audience: { connections, sampleEvery, connection: (index) => ({ ...subject.connection(index), compression }) },
    publisher: { endpoint, headers, connections: publishers, to, namePrefix, names, size, burst, batch },
    ...(heardBy && { heardBy }),
  };
}

/** Opens a load, warms the server up, and measures a phase. */
export async function measure(subject: Subject, shape: LoadShape, phase: Phase, scale: Scale): Promise<Measured> {
  const { compression, warmUp = warmUpSeconds } = shape;
  const load = await Load.open(planOf(subject, shape));
  try {
    if (compression && !load.audience.isCompressed) throw new NotOffered();
    await load.run({ ...phase, seconds: scale.seconds(warmUp) });
    return await measurePhase(subject, load, phase);
  } finally {
    await load.close();
  }
}

/** Measures a phase of a load that is open. */
export async function measurePhase(subject: Subject, load: Load, phase: Phase): Promise<Measured> {
  const [before, redisBefore] = [subject.cpuSeconds(), subject.redisCpuSeconds()];
  const report = await load.run(phase);
  return {
    report,
    cpuSeconds: subject.cpuSeconds() - before,
    redisCpuSeconds: subject.redisCpuSeconds() - redisBefore,
  };
}

/** The figures of a load whose deliveries count. */
export function deliveryFigures({ report, cpuSeconds }: Measured): Figures {
  const { deliveries, latency } = report;
  return {
    values: {
      deliveries: report.deliveriesPerSecond,
      p50: latency.p50 / 1e6,
      p90: latency.p90 / 1e6,
      p99: latency.p99 / 1e6,
      p999: latency.p999 / 1e6,
      cpu: (cpuSeconds * 1e6) / deliveries,
      perRead: report.messagesPerRead,
    },
    ...failuresOf(report),
  };
}

/** What went wrong. */
export function failuresOf(report: LoadReport): Pick<Figures, "lost" | "refused"> {
  return { lost: report.lost, refused: report.refused + report.failed };
}
