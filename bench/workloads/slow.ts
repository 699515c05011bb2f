import { Load } from "../../src/load/load.ts";
import { contestants } from "../contestants.ts";
import { failuresOf, measurePhase, planOf } from "../measure.ts";
import type { Workload } from "../workload.ts";

/**
 * Connections that never read, among 1,000 that do: what they do to the others and to the server's memory. The kernel takes
 * about 4 MB for a connection before the server notices anything, so messages have 16 KB and go on for a while; with more
 * connections or smaller messages nothing would be seen of it.
 */
function slow(percent: number): Workload {
  return {
    name: `slow-${percent}`,
    title: `${percent} % of 1,000 connections never read`,
    about: "30 messages of 16 KB a second; latency is that of the others.",
    columns: [
      { key: "p99", title: "p99", unit: "ms", better: "lower" },
      { key: "p50", title: "p50", unit: "ms", better: "lower" },
      { key: "memory", title: "peak memory", unit: "MB", better: "lower" },
      { key: "closed", title: "closed", unit: "", better: "higher" },
    ],
    contestants: [contestants.belfry, contestants.naive, contestants.socketIo, contestants.uws],
    run: async (subject, scale) => {
      const connections = scale.connections(1000);
      const load = await Load.open(planOf(subject, { connections, publishers: 2, size: 16_384, sampleEvery: 7 }));
      try {
        await load.run({ rate: 30, seconds: scale.seconds(1) });
        load.audience.deafen(Math.round((connections * percent) / 100));
        const { report } = await measurePhase(subject, load, { rate: 30, seconds: scale.seconds(14) });
        const { p50, p99 } = report.latency;
        const peak = subject.peakResidentBytes();
        await load.audience.undeafen();
        const values = {
          p99: p99 / 1e6,
          p50: p50 / 1e6,
          memory: peak / 2 ** 20,
          closed: Object.values(load.audience.closes).reduce((sum, count) => sum + count, 0),
        };
        return { values, ...failuresOf(report) };
      } finally {
        await load.close();
      }
    },
  };
}

export const slowWorkloads = [slow(0), slow(1), slow(10)];
