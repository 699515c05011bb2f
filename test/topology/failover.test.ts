import { afterAll, describe, expect, it } from "vitest";
import { ClusterRedis } from "../../chaos/redis-cluster.ts";
import type { ReplicatedRedis } from "../../chaos/redis-replicated.ts";
import { SentinelRedis } from "../../chaos/redis-sentinel.ts";
import { startReplicas, uniquePrefix, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { SteadyPublisher } from "./steady-publisher.ts";

const [sentinel, cluster] = await Promise.all([SentinelRedis.start(), ClusterRedis.start()]);
afterAll(() => Promise.all([sentinel.close(), cluster.close()]));

/** Subscriptions that bring nothing any more are noticed within 10 s; then what they missed has to come. */
const deafMs = 15_000;

/** Shard of a cluster that serves broadcasts: slot 3300. */
const shard = 0;

/** What can happen to a master. The topology is whole again when it is over. */
const failovers: [name: string, happen: (redis: ReplicatedRedis) => Promise<void>][] = [
  ["is replaced by an operator", (redis) => redis.failover(shard)],
  ["is killed and comes back", async (redis) => (await redis.killMaster(shard))()],
  ["hangs and comes back", async (redis) => (await redis.stopMaster(shard))()],
];

describe.each([
  ["behind sentinels", sentinel, 2],
  ["in a cluster", cluster, 1],
] as [string, ReplicatedRedis, number][])("a master %s", (_, redis, replicas) => {
  it.each(failovers)("that %s costs no message, none comes twice, and nobody is disconnected", async (_, happen) => {
    const services = await startReplicas(3, {
      redisUrl: redis.url,
      redisPrefix: uniquePrefix(),
      redisWaitReplicas: replicas,
    });
    const clients = await Promise.all(services.map(({ port }) => TestClient.welcomed(port, "alice")));
    const publisher = new SteadyPublisher("/broadcast", services);
    await until(() => publisher.ids.length > 20);
    await happen(redis);
    const { length } = publisher.ids;
    await until(() => publisher.ids.length > length + 20, deafMs);
    await publisher.stop();
    for (const client of clients) {
      await until(() => client.queue.length >= publisher.ids.length, deafMs);
      const frames = client.queue.map((text) => JSON.parse(text));
      expect(frames.map(({ id }) => id)).toEqual(publisher.ids);
      expect(frames.map(({ data }) => data.n)).toEqual(publisher.ids.map((_, index) => index));
      expect(client.ws.readyState).toBe(client.ws.OPEN);
    }
    expect(publisher.slowestMs).toBeLessThan(3000);
    expect(publisher.refusals.filter((refusal) => refusal !== "503 1")).toEqual([]);
    for (const { call } of services) await until(async () => (await call("GET", "/readyz")).status === 200, deafMs);
  });
});
