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
    const [known] = await broker.subscribe([alice]);
    expect(await broker.subscribe([alice], [known])).toEqual([known]);
    // What a failover to a replica that was behind does.
    await redis.hset(`${redisPrefix}:{u:alice}:meta`, "offset", 2);
    const log = `${redisPrefix}:{u:alice}:log`;
    const kept = await redis.xrange(log, "-", "2-0");
    await redis.del(log);
    for (const [id, fields] of kept) await redis.xadd(log, id, ...fields);
    const [shorter] = await broker.subscribe([alice], [known]);
    expect(shorter?.offset).toBe(2);
    expect(shorter?.epoch).not.toBe(known?.epoch);
    expect(await broker.subscribe([alice], [known])).toEqual([shorter]);
    expect((await broker.publish(alice, publication())).id).toBe(`u-${shorter?.epoch}-3`);
    expect((await broker.history(alice, 0, 10)).messages.map(({ position }) => position?.offset)).toEqual([1, 2, 3]);
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

function publication(): Publication {
  return { body: '"data":1}', ts: Date.now(), live: false, expiresAtMs: 0, collapse: undefined };
}
