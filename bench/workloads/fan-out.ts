import { cpu, deliveries, p50, p99, perRead } from "../columns.ts";
import { contestants } from "../contestants.ts";
import { deliveryFigures, type LoadShape, measure } from "../measure.ts";
import type { Workload } from "../workload.ts";

const { belfry, naive, socketIo, uws, uwsDeferred } = contestants;

/** As many messages to everyone as the server bears. */
function fanOut(
  { connections, ...shape }: LoadShape,
  described: Pick<Workload, "name" | "title" | "about" | "contestants">,
): Workload {
  return {
    ...described,
    columns: [deliveries, p50, p99, cpu, perRead],
    run: async (subject, scale) => {
      const scaled = { ...shape, connections: scale.connections(connections) };
      return deliveryFigures(await measure(subject, scaled, { seconds: scale.seconds(4) }, scale));
    },
  };
}

/**
 * One publisher in a closed loop, messages to everyone: the plainest fan-out. Whoever writes each message to each socket is
 * bounded by what a write costs the kernel; who answers early and writes what waits together is not.
 */
function byOne(name: string, connections: number): Workload {
  return fanOut(
    { connections, publishers: 1 },
    {
      name,
      title: `Fan-out to ${connections.toLocaleString("en")} connections, 1 publisher`,
      about: "A message to everyone, and the next one as soon as it is answered.",
      contestants: [belfry, naive, socketIo, uws],
    },
  );
}

/**
 * 64 publishers, each in a closed loop: a busy backend. Requests come in together, and a server may write what they
 * brought together.
 */
const byMany = fanOut(
  { connections: 1000, publishers: 64 },
  {
    name: "W1c",
    title: "Fan-out to 1,000 connections, 64 publishers",
    about: "Messages to everyone; each publisher sends the next one as soon as its last one is answered.",
    contestants: [belfry, naive, socketIo, uws, uwsDeferred],
  },
);

/**
 * 100 requests in one write, from 4 publishers, each of which sends the next 100 when all are answered: what a job that
 * publishes in a loop looks like, and the best case of whoever writes messages together.
 */
const inBursts = fanOut(
  { connections: 1000, publishers: 4, burst: 100 },
  {
    name: "W5",
    title: "Bursts of 100 messages to 1,000 connections",
    about: "Four publishers pipeline 100 requests in one write, and the next 100 when all are answered.",
    contestants: [belfry, naive, socketIo, uws, uwsDeferred],
  },
);

export const fanOutWorkloads = [byOne("W1", 1000), byOne("W1-5k", 5000), byMany, inBursts];
