import { afterAll, describe, expect, it } from "vitest";
import { SentinelRedis } from "../../chaos/redis-sentinel.ts";
import { type Service, startReplicas, uniquePrefix, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const redis = await SentinelRedis.start({ replicas: 1 });
afterAll(() => redis.close());

/** Starts a service that waits for so many replicas of Redis. */
async function startWaiting(redisWaitReplicas: number, redisPrefix = uniquePrefix()): Promise<Service> {
  const [service] = await startReplicas(1, { redisUrl: redis.url, redisPrefix, redisWaitReplicas });
  return service as Service;
}

describe("REDIS_WAIT_REPLICAS", () => {
  it("shows a message to nobody before enough replicas of Redis have it, and then in its place", async () => {
    const redisPrefix = uniquePrefix();
    const demanding = await startWaiting(2, redisPrefix);
    const content = await startWaiting(1, redisPrefix);
    const live = await TestClient.welcomed(content.port, "alice");
    const publish = ({ call }: Service, data: string) =>
      call("POST", "/users/alice/messages", { data }, { "idempotency-key": data });

    const refused = await publish(demanding, "one");
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.json.detail).toBe("Redis did not confirm that 2 of its replicas have what was written");
    expect((await content.call("GET", "/users/alice/messages")).json).toMatchObject({ last: 0, messages: [] });
    const late = await TestClient.welcomed(content.port, "alice", { path: "/ws?since=earliest" });

    expect((await publish(content, "two")).status).toBe(202);
    for (const client of [live, late]) expect((await client.take(2)).map(({ data }) => data)).toEqual(["one", "two"]);
    // Its publisher may try it again wherever it wants, and is told what became of it.
    const again = await publish(content, "one");
    expect(again.status).toBe(202);
    expect(again.json.id).toMatch(/-1$/);
    expect((await publish(demanding, "one")).json).toEqual(again.json);
    await publish(content, "three");
    for (const client of [live, late]) expect(await client.next()).toMatchObject({ data: "three" });
  });

  it("is waited for by all who publish at the same time together", async () => {
    const service = await startWaiting(1);
    const client = await TestClient.welcomed(service.port, "alice");
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, n) => service.call("POST", "/users/alice/messages", { data: n })),
    );
    expect(answers.filter(({ status }) => status !== 202)).toEqual([]);
    expect(answers.filter(({ json }) => json.receivers !== 1)).toEqual([]);
    const offsets = (await client.take(300)).map(({ id }) => Number(String(id).split("-")[2]));
    expect(offsets).toEqual(offsets.map((_, index) => index + 1));
  });

  it("is waited for by the topics that users are subscribed to, also when it is tried again", async () => {
    const redisPrefix = uniquePrefix();
    const demanding = await startWaiting(2, redisPrefix);
    const content = await startWaiting(1, redisPrefix);
    for (const method of ["PUT", "PUT", "DELETE", "DELETE"]) {
      expect((await demanding.call(method, "/users/alice/topics/news")).status).toBe(503);
    }
    for (const method of ["PUT", "PUT", "DELETE", "DELETE"]) {
      expect((await content.call(method, "/users/alice/topics/news")).status).toBe(200);
    }
    expect((await content.call("GET", "/users/alice/topics")).json.topics).toEqual([]);
  });

  it("is not waited for by what is live only", async () => {
    const service = await startWaiting(9);
    const client = await TestClient.welcomed(service.port, "alice");
    expect((await service.call("POST", "/broadcast", { data: 1, ttl: 0 })).status).toBe(202);
    expect(await client.next()).toMatchObject({ data: 1 });
    expect((await service.call("POST", "/broadcast", { data: 2 })).status).toBe(503);
    await until(async () => (await service.call("GET", "/readyz")).status === 200);
  });
});
