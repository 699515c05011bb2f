import { until } from "../../chaos/until.ts";
import { cpu, deliveries, p50, p99 } from "../columns.ts";
import { belfryConnection, belfryHeaders, type Contestant, contestants, startBelfry } from "../contestants.ts";
import { deliveryFigures, failuresOf, measure } from "../measure.ts";
import { cpuSecondsOf, peakResidentBytesOf, residentBytesOf } from "../process-usage.ts";
import { RedisServer } from "../redis-server.ts";
import type { ServerProcess } from "../server-process.ts";
import type { Workload } from "../workload.ts";

/** How long a replica may take to find Redis, in ms. */
const readyTimeoutMs = 10_000;

async function isReady({ endpoint }: ServerProcess): Promise<boolean> {
  return (await fetch(`http://${endpoint.host}/readyz`)).ok;
}

/** Belfry on Redis, all on one core: published on the first replica, clients on the others, or on it if it is alone. */
export function onRedis(replicas: number): Contestant {
  return {
    label: replicas === 1 ? "Belfry, Redis" : `Belfry, ${replicas} replicas, Redis`,
    server: "belfry",
    start: async () => {
      const redis = await RedisServer.start();
      const servers: ServerProcess[] = [];
      const close = async () => {
        for (const server of servers) await server.close();
        await redis.close();
      };
      try {
        for (let i = 0; i < replicas; i++) {
          const server = await startBelfry({ REDIS_URL: redis.url });
          servers.push(server);
          await until("Belfry has found Redis", () => isReady(server), readyTimeoutMs);
        }
      } catch (error) {
        await close();
        throw error;
      }
      const [first, ...others] = servers as [ServerProcess, ...ServerProcess[]];
      const listening = others.length > 0 ? others : [first];
      const pids = [...servers.map(({ pid }) => pid), redis.pid];
      const sumOf = (figure: (pid: number) => number) => () => pids.reduce((sum, pid) => sum + figure(pid), 0);
      return {
        connection: (index) => belfryConnection((listening[index % listening.length] ?? first).endpoint, index),
        api: first.endpoint,
        headers: belfryHeaders,
        cpuSeconds: sumOf(cpuSecondsOf),
        redisCpuSeconds: () => cpuSecondsOf(redis.pid),
        residentBytes: sumOf(residentBytesOf),
        peakResidentBytes: sumOf(peakResidentBytesOf),
        close,
      };
    },
  };
}

/** In s: up to nine processes are compiling their code on one core. */
export const warmUp = 5;

/** What the way over Redis costs a broadcast: published on one replica and delivered by another, against in memory. */
function broadcastBy(publishers: number): Workload {
  return {
    name: `redis-${publishers}`,
    title: `Fan-out to 1,000 connections over Redis, publishers: ${publishers}`,
    about: "Published on one replica and delivered by another; replicas and Redis share one core.",
    columns: [deliveries, p50, p99, cpu],
    contestants: [contestants.belfry, onRedis(1), onRedis(2)],
    run: async (subject, scale) => {
      const shape = { connections: scale.connections(1000), publishers, warmUp };
      return deliveryFigures(await measure(subject, shape, { seconds: scale.seconds(4) }, scale));
    },
  };
}

/**
 * Messages to one user each, published on one replica: what a message costs must not depend on how many replicas there
 * are, since only those hear of it that hold the user. All share one core, so the CPU time of a message is the figure.
 */
const users: Workload = {
  name: "redis-users",
  title: "Messages to one user each over Redis, 64 publishers on one replica, 1,000 connections on the others",
  about: "CPU time of all replicas and Redis together, which share one core.",
  columns: [
    { key: "cpu", title: "CPU per message", unit: "µs", better: "lower" },
    { key: "redisCpu", title: "of it Redis", unit: "µs", better: "lower" },
    { key: "accepted", title: "messages/s", unit: "", better: "higher" },
    { key: "p99", title: "p99", unit: "ms", better: "lower" },
  ],
  contestants: [contestants.belfry, ...[1, 2, 4, 8].map((replicas) => onRedis(replicas))],
  run: async (subject, scale) => {
    const shape = {
      connections: scale.connections(1000),
      publishers: 64,
      to: "user",
      sampleEvery: 11,
      warmUp,
    } as const;
    const { report, cpuSeconds, redisCpuSeconds } = await measure(subject, shape, { seconds: scale.seconds(4) }, scale);
    const microseconds = (seconds: number) => (seconds * 1e6) / report.accepted;
    const values = {
      cpu: microseconds(cpuSeconds),
      redisCpu: microseconds(redisCpuSeconds),
      accepted: report.acceptedPerSecond,
      p99: report.latency.p99 / 1e6,
    };
    return { values, ...failuresOf(report) };
  },
};

export const replicasWorkloads = [broadcastBy(1), broadcastBy(64), users];
