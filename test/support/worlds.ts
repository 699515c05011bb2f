import type { BelfryOptions } from "../../src/index.ts";
import { type Service, startReplicas, startService } from "./service.ts";

/** Three names for the replicas of a world, of which some may be the same. */
export type Three = [one: Service, two: Service, three: Service];

/** Where a behaviour is to be the same: everything in one process, and three replicas that share a Redis. */
export const worlds: readonly { name: string; start: (options?: BelfryOptions) => Promise<Three> }[] = [
  {
    name: "in memory",
    start: async (options) => {
      const service = await startService(options);
      return [service, service, service];
    },
  },
  { name: "three replicas on Redis", start: async (options) => (await startReplicas(3, options)) as Three },
];

/** Where one service is enough: in one process, and on a Redis. */
export const homes: readonly { name: string; start: (options?: BelfryOptions) => Promise<Service> }[] = [
  { name: "in memory", start: startService },
  { name: "on Redis", start: async (options) => (await startReplicas(1, options))[0] as Service },
];

/** The port of one of the replicas, counted round and round from 0. */
export function portOf(replicas: readonly Service[], index: number): number {
  return replicas[index % replicas.length]?.port ?? 0;
}
