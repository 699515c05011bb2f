import { cpu, p50, p90, p99, p999 } from "../columns.ts";
import { contestants } from "../contestants.ts";
import { deliveryFigures, measure } from "../measure.ts";
import type { Workload } from "../workload.ts";

/**
 * 10 messages a second to 5,000 connections, 50,000 deliveries a second, which every server bears: how late they come and
 * what each costs when nobody is at his limit. Latency counts from when a message was due.
 */
export const pacedWorkload: Workload = {
  name: "W2",
  title: "Paced: 10 messages a second to 5,000 connections",
  about: "50,000 deliveries a second for 10 s; latency counts from when a message was due.",
  columns: [p99, p50, p90, p999, cpu],
  contestants: [contestants.belfry, contestants.naive, contestants.socketIo, contestants.uws],
  run: async (subject, scale) => {
    const shape = { connections: scale.connections(5000), publishers: 2, sampleEvery: 7 };
    return deliveryFigures(await measure(subject, shape, { rate: 10, seconds: scale.seconds(10) }, scale));
  },
};
