import { setTimeout as pause } from "node:timers/promises";
import { Load } from "../../src/load/load.ts";
import { contestants } from "../contestants.ts";
import { failuresOf, planOf } from "../measure.ts";
import { probe } from "../prober.ts";
import type { Workload } from "../workload.ts";

/**
 * 300 newcomers at once while 2,000 connections get as many broadcasts as the server bears: what a reconnect storm meets.
 * Ready is who has seen the 101 and the server's greeting, where there is one.
 */
export const newcomersWorkload: Workload = {
  name: "accepts",
  title: "300 newcomers at once during saturated broadcasts to 2,000 connections, 8 publishers",
  about: "Newcomers that are ready a second; messages a second to the others meanwhile; how long a publish takes.",
  columns: [
    { key: "newcomers", title: "newcomers/s", unit: "", better: "higher" },
    { key: "broadcasts", title: "broadcasts/s", unit: "", better: "higher" },
    { key: "p99", title: "p99 of a publish", unit: "ms", better: "lower" },
  ],
  contestants: [contestants.belfry, contestants.naive, contestants.socketIo, contestants.uws, contestants.uwsDeferred],
  run: async (subject, scale) => {
    const connections = scale.connections(2000);
    const newcomers = scale.connections(300);
    const load = await Load.open(planOf(subject, { connections, publishers: 8 }));
    try {
      await load.run({ seconds: scale.seconds(1) });
      const running = load.run({});
      await pause(scale.seconds(1) * 1000);
      const crowd = await probe(subject, connections, { kind: "crowd", count: newcomers });
      load.publisher.stop();
      const report = await running;
      const values = {
        newcomers: crowd.ready / crowd.seconds,
        broadcasts: report.deliveriesPerSecond / connections,
        p99: report.publishLatency.p99 / 1e6,
      };
      return { values, ...failuresOf(report) };
    } finally {
      await load.close();
    }
  },
};
