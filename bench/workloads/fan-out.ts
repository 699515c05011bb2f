import { cpu, deliveries, p50, p99, perRead } from "../columns.ts";
import { contestants } from "../contestants.ts";
import { deliveryFigures, measure } from "../measure.ts";
import type { Workload } from "../workload.ts";

/**
 * One publisher in a closed loop, messages to everyone: the plainest fan-out. Whoever writes each message to each socket is
 * bounded by what a write costs the kernel; who answers early and writes what waits together is not.
 */
function fanOut(name: string, connections: number): Workload {
  return {
    name,
    title: `Fan-out to ${connections.toLocaleString("en")} connections, 1 publisher`,
    about: "A message to everyone, and the next one as soon as it is answered.",
    columns: [deliveries, p50, p99, cpu, perRead],
    contestants: [contestants.belfry, contestants.naive, contestants.socketIo, contestants.uws],
    run: async (subject, scale) => {
      const shape = { connections: scale.connections(connections), publishers: 1 };
      return deliveryFigures(await measure(subject, shape, { seconds: scale.seconds(4) }, scale));
    },
  };
}

export const fanOutWorkloads = [fanOut("W1", 1000), fanOut("W1-5k", 5000)];
