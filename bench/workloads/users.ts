import { type Contestant, contestants } from "../contestants.ts";
import { failuresOf, measure } from "../measure.ts";
import type { Workload } from "../workload.ts";

/** Belfry, told of 100 messages to 100 users in one request. */
const batched: Contestant = { ...contestants.belfry, label: "Belfry, /batch of 100" };

/**
 * A message to one user, by 64 publishers: what a request costs, since there is but one delivery for each. Belfry also
 * takes 100 messages to 100 users in one request.
 */
export const usersWorkload: Workload = {
  name: "W4",
  title: "Messages to one user each, 64 publishers, 1,000 connections",
  about: "POST /users/:id/messages, each to the next of 1,000 users; latency is from the request to the client.",
  columns: [
    { key: "accepted", title: "messages/s", unit: "", better: "higher" },
    { key: "p50", title: "p50", unit: "ms", better: "lower" },
    { key: "p99", title: "p99", unit: "ms", better: "lower" },
    { key: "cpu", title: "CPU per message", unit: "µs", better: "lower" },
  ],
  contestants: [contestants.belfry, batched, contestants.express, contestants.socketIo, contestants.uws],
  run: async (subject, scale, contestant) => {
    const batch = contestant === batched ? 100 : 1;
    const shape = { connections: scale.connections(1000), publishers: 64, batch, to: "user", sampleEvery: 11 } as const;
    const { report, cpuSeconds } = await measure(subject, shape, { seconds: scale.seconds(4) }, scale);
    const { acceptedPerSecond, latency } = report;
    const cpu = (cpuSeconds * 1e6) / report.accepted;
    const values = { accepted: acceptedPerSecond, p50: latency.p50 / 1e6, p99: latency.p99 / 1e6, cpu };
    return { values, ...failuresOf(report) };
  },
};
