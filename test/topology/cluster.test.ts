import slotOf from "cluster-key-slot";
import { Redis } from "ioredis";
import { afterAll, describe, expect, it } from "vitest";
import { ClusterRedis } from "../../chaos/redis-cluster.ts";
import { startReplicas, startService, uniquePrefix, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { SteadyPublisher } from "./steady-publisher.ts";

const cluster = await ClusterRedis.start();
const nodes = [...cluster.url.matchAll(/:(\d+)(?=,|$)/g)].map(([, port]) => new Redis(Number(port)));
// Otherwise Redis itself refuses everything while a part of the slots is not served.
await Promise.all(nodes.map((node) => node.config("SET", "cluster-require-full-coverage", "no")));
afterAll(async () => {
  for (const node of nodes) node.disconnect();
  await cluster.close();
});
for (const node of nodes) node.on("error", () => {});

/** The first user whose stream's slot passes a test. */
function userAt(test: (slot: number) => boolean): string {
  for (let n = 0; ; n++) if (test(slotOf(`{u:user${n}}`))) return `user${n}`;
}

/** Moves a slot and what is in it from one shard to another, as `redis-cli --cluster reshard` does. */
async function moveSlot(slot: number, from: number, to: number): Promise<void> {
  const [giver, taker] = await Promise.all([cluster.findMaster(from), cluster.findMaster(to)]);
  if (!giver || !taker) throw new Error("there is no master");
  const [giverId, takerId] = (await Promise.all(
    [giver, taker].map((node) => node.call("CLUSTER", "MYID")),
  )) as string[];
  await taker.call("CLUSTER", "SETSLOT", String(slot), "IMPORTING", String(giverId));
  await giver.call("CLUSTER", "SETSLOT", String(slot), "MIGRATING", String(takerId));
  const keys = (await giver.call("CLUSTER", "GETKEYSINSLOT", String(slot), "1000")) as string[];
  if (keys.length > 0) await giver.call("MIGRATE", "127.0.0.1", String(taker.port), "", "0", "5000", "KEYS", ...keys);
  for (const node of [taker, giver]) await node.call("CLUSTER", "SETSLOT", String(slot), "NODE", String(takerId));
}

describe("a Redis cluster", () => {
  it("goes on with the streams of the other masters while one of them is away", async () => {
    const services = await startReplicas(2, { redisUrl: cluster.url, redisPrefix: uniquePrefix() });
    // The masters share the slots in three parts of the same size; the first is killed.
    const [near, far] = [userAt((slot) => slot < 5000), userAt((slot) => slot > 12000)];
    const clients = await Promise.all([near, far].map((user) => TestClient.welcomed(services[0]?.port ?? 0, user)));
    const [gone, there] = [near, far].map((user) => new SteadyPublisher(`/users/${user}/messages`, services)) as [
      SteadyPublisher,
      SteadyPublisher,
    ];
    await until(() => there.ids.length > 20 && gone.ids.length > 20);
    const bringBack = await cluster.killMaster(0);
    await until(async () => (await services[0]?.call("GET", "/readyz"))?.status === 200);
    await Promise.all([gone.stop(), there.stop()]);
    await bringBack();
    expect(there.refusals).toEqual([]);
    expect(gone.refusals.length).toBeGreaterThan(0);
    for (const [index, { ids }] of [gone, there].entries()) {
      await until(() => (clients[index]?.queue.length ?? 0) >= ids.length);
      expect(clients[index]?.queue.map((text) => JSON.parse(text).id)).toEqual(ids);
    }
  });

  it("says that it is not ready, and why, while a master is away", async () => {
    const services = await startReplicas(1, { redisUrl: cluster.url, redisPrefix: uniquePrefix() });
    const ready = async () => (await services[0]?.call("GET", "/readyz")) ?? { status: 0, json: {} };
    const killing = cluster.killMaster(1);
    await until(async () => (await ready()).status === 503);
    expect((await ready()).json.detail).toContain("Redis");
    await (await killing)();
    await until(async () => (await ready()).status === 200);
  });

  it("hands what backends publish with PUBLISH on any node to each client once", async () => {
    const redisPrefix = uniquePrefix();
    const services = await startReplicas(2, { redisUrl: cluster.url, redisPrefix });
    const clients = await Promise.all(services.map(({ port }) => TestClient.welcomed(port, "alice")));
    for (const [n, node] of nodes.entries()) {
      await node.publish(`${redisPrefix}:publish`, JSON.stringify({ to: { user: "alice" }, data: n }));
    }
    await services[0]?.call("POST", "/users/alice/messages", { data: "end" });
    for (const client of clients) {
      const seen = (await client.take(nodes.length + 1)).map(({ data }) => data);
      expect(seen.toSorted()).toEqual([...nodes.keys(), "end"]);
    }
  });

  it("finds its streams again when their slots move to another master", async () => {
    const services = await startReplicas(2, { redisUrl: cluster.url, redisPrefix: uniquePrefix() });
    const user = userAt((slot) => slot >= 16300);
    const clients = await Promise.all(services.map(({ port }) => TestClient.welcomed(port, user)));
    const publisher = new SteadyPublisher(`/users/${user}/messages`, services);
    await until(() => publisher.ids.length > 20);
    await moveSlot(slotOf(`{u:${user}}`), 2, 0);
    const { length } = publisher.ids;
    await until(() => publisher.ids.length > length + 20);
    await publisher.stop();
    for (const client of clients) {
      await until(() => client.queue.length >= publisher.ids.length);
      expect(client.queue.map((text) => JSON.parse(text).id)).toEqual(publisher.ids);
    }
  });

  it("hears streams whose slots have moved away and back before anybody looked", async () => {
    const services = await startReplicas(2, { redisUrl: cluster.url, redisPrefix: uniquePrefix() });
    const user = userAt((slot) => slot >= 16000 && slot < 16300);
    const clients = await Promise.all(services.map(({ port }) => TestClient.welcomed(port, user)));
    await moveSlot(slotOf(`{u:${user}}`), 2, 0);
    await moveSlot(slotOf(`{u:${user}}`), 0, 2);
    const publisher = new SteadyPublisher(`/users/${user}/messages`, services);
    await until(() => publisher.ids.length > 20);
    await publisher.stop();
    for (const client of clients) {
      await until(() => client.queue.length >= publisher.ids.length);
      expect(client.queue.map((text) => JSON.parse(text).id)).toEqual(publisher.ids);
    }
  });

  it("logs once why it cannot be reached, without the password", async () => {
    const { logs, call } = await startService({ redisUrl: "redis+cluster://:s3cret@127.0.0.1:1", logLevel: "info" });
    await until(() => logs.some((line) => line.includes("the Redis cluster cannot be reached")));
    await until(async () => (await call("GET", "/readyz")).json.detail === "Redis cannot be reached");
    const warnings = logs.filter((line) => line.includes("cannot be reached"));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("ECONNREFUSED");
    expect(logs.join("")).not.toContain("s3cret");
    expect((await call("GET", "/readyz")).status).toBe(503);
  });
});
