import { cpu, deliveries, p50, p99, perRead } from "../columns.ts";
import { contestants } from "../contestants.ts";
import { deliveryFigures, measure } from "../measure.ts";
import type { Workload } from "../workload.ts";

/**
 * 64 publishers, each in a closed loop: a busy backend. Requests come in together, and a server may write what they
 * brought together.
 */
export const publishersWorkload: Workload = {
  name: "W1c",
  title: "Fan-out to 1,000 connections, 64 publishers",
  about: "Messages to everyone; each publisher sends the next one as soon as its last one is answered.",
  columns: [deliveries, p50, p99, cpu, perRead],
  contestants: [contestants.belfry, contestants.naive, contestants.socketIo, contestants.uws, contestants.uwsDeferred],
  run: async (subject, scale) => {
    const shape = { connections: scale.connections(1000), publishers: 64 };
    return deliveryFigures(await measure(subject, shape, { seconds: scale.seconds(4) }, scale));
  },
};
