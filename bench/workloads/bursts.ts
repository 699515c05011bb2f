import { cpu, deliveries, p50, p99, perRead } from "../columns.ts";
import { contestants } from "../contestants.ts";
import { deliveryFigures, measure } from "../measure.ts";
import type { Workload } from "../workload.ts";

/**
 * 100 requests in one write, from 4 publishers, each of which sends the next 100 when all are answered: what a job that
 * publishes in a loop looks like, and the best case of whoever writes messages together.
 */
export const burstsWorkload: Workload = {
  name: "W5",
  title: "Bursts of 100 messages to 1,000 connections",
  about: "Four publishers pipeline 100 requests in one write, and the next 100 when all are answered.",
  columns: [deliveries, p50, p99, cpu, perRead],
  contestants: [contestants.belfry, contestants.naive, contestants.socketIo, contestants.uws, contestants.uwsDeferred],
  run: async (subject, scale) => {
    const shape = { connections: scale.connections(1000), publishers: 4, burst: 100 };
    return deliveryFigures(await measure(subject, shape, { seconds: scale.seconds(4) }, scale));
  },
};
