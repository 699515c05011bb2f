import { Redis } from "ioredis";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import type { Publication } from "../../src/broker/broker.ts";
import { RedisBroker } from "../../src/broker/redis-broker.ts";
import { createLog } from "../../src/log.ts";
import { userStream } from "../../src/protocol/streams.ts";
import { uniquePrefix } from "../support/service.ts";

describe("RedisBroker", () => {
  it("begins a new epoch for a stream that is shorter than the caller knew", async () => {
    const { broker, redis, redisPrefix } = await start();
    const alice = userStream("alice");
    for (let n = 0; n < 3; n++) await broker.publish(alice, publication());
    const [before] = await broker.subscribe([alice]);
    const known = before && { ...before, ts: undefined };
    expect(await broker.subscribe([alice], [known])).toEqual([before]);
    await fallBack(redis, `${redisPrefix}:{u:alice}`, 2);
    const [shorter] = await broker.subscribe([alice], [known]);
    expect(shorter?.offset).toBe(2);
    expect(shorter?.epoch).not.toBe(before?.epoch);
    expect(await broker.subscribe([alice], [known])).toEqual([shorter]);
    expect((await broker.publish(alice, publication())).id).toBe(`u-${shorter?.epoch}-3`);
    expect((await broker.history(alice, 0, 10)).messages.map(({ position }) => position?.offset)).toEqual([1, 2, 3]);
  });

  it("begins a new epoch for a stream that has another message where the caller was", async () => {
    const { broker, redis, redisPrefix } = await start();
    const alice = userStream("alice");
    const bob = userStream("bob");
    for (const stream of [alice, alice, bob]) await broker.publish(stream, publication(1000));
    const [before] = await broker.subscribe([alice]);
    await fallBack(redis, `${redisPrefix}:{u:alice}`, 1);
    await broker.publish(alice, publication(1001));
    expect(before?.offset).toBe(2);
    expect(await broker.subscribe([alice], [before && { ...before, ts: 1001 }])).toEqual([before]);
    const [other] = await broker.subscribe([alice], [before && { ...before, ts: 1000 }]);
    expect(other?.offset).toBe(2);
    expect(other?.epoch).not.toBe(before?.epoch);
  });

  it("gives the first answer again for what a new epoch has kept, and publishes anew what is gone", async () => {
    const { broker, redis, redisPrefix } = await start();
    const alice = userStream("alice");
    const publish = (key: string) => broker.publish(alice, publication(1, { key, fingerprint: "f" }));
    const first = await publish("k1");
    await publish("k2");
    const [before] = await broker.subscribe([alice]);
    await fallBack(redis, `${redisPrefix}:{u:alice}`, 1);
    const [after] = await broker.subscribe([alice], [before && { ...before, ts: undefined }]);
    expect(await publish("k1")).toEqual({ ...first, id: `u-${after?.epoch}-1`, replayed: true });
    expect(await publish("k2")).toMatchObject({ id: `u-${after?.epoch}-2`, replayed: false });
  });

  it("passes over what it cannot read in history, and counts it", async () => {
    const { broker, redis, redisPrefix, malformed } = await start();
    const alice = userStream("alice");
    await broker.publish(alice, publication());
    await redis.xadd(`${redisPrefix}:{u:alice}:log`, "2-0", "m", "nonsense");
    await redis.hset(`${redisPrefix}:{u:alice}:meta`, "offset", 2);
    await broker.publish(alice, publication());
    const page = await broker.history(alice, 0, 10);
    expect(page.messages.map(({ position }) => position?.offset)).toEqual([1, 3]);
    expect(page).toMatchObject({ first: 1, last: 3, reaches: 3 });
    expect(malformed()).toBe(1);
  });
});

async function start() {
  const redisPrefix = uniquePrefix();
  let malformed = 0;
  const broker = new RedisBroker({
    redisUrl: inject("redisUrl"),
    redisWaitReplicas: 0,
    redisPrefix,
    log: createLog("silent"),
    historySize: 10,
    historyTtlSeconds: 60,
    idempotencyTtlSeconds: 60,
    onMalformed: () => void malformed++,
  });
  const connected = Promise.withResolvers<void>();
  broker.start({
    onMessage: () => {},
    onQuestion: () => null,
    onExternalPublish: () => {},
    onConnected: () => connected.resolve(),
  });
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(async () => {
    redis.disconnect();
    await broker.close();
  });
  await connected.promise;
  return { broker, redis, redisPrefix, malformed: () => malformed };
}

function publication(ts = Date.now(), idempotency?: Publication["idempotency"]): Publication {
  return { body: '"data":1}', ts, live: false, expiresAtMs: 0, collapse: undefined, idempotency };
}

/** What a failover to a replica that was behind does: what stands behind an offset is gone. */
async function fallBack(redis: Redis, channel: string, offset: number): Promise<void> {
  await redis.hset(`${channel}:meta`, "offset", offset);
  const kept = await redis.xrange(`${channel}:log`, "-", `${offset}-0`);
  // Deleting entries would leave the id of the newest one behind.
  await redis.del(`${channel}:log`);
  for (const [id, fields] of kept) await redis.xadd(`${channel}:log`, id, ...fields);
}
