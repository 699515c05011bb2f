import { Redis } from "ioredis";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { RedisBroker } from "../../src/broker/redis-broker.ts";
import { createLog } from "../../src/log.ts";
import { userStream } from "../../src/protocol/streams.ts";
import { uniquePrefix } from "../support/service.ts";

describe("RedisBroker", () => {
  it("passes over what it cannot read in history, and counts it", async () => {
    const redisPrefix = uniquePrefix();
    let malformed = 0;
    const broker = new RedisBroker({
      redisUrl: inject("redisUrl"),
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
      onConnected: connected.resolve,
    });
    const redis = new Redis(inject("redisUrl"));
    onTestFinished(async () => {
      redis.disconnect();
      await broker.close();
    });
    await connected.promise;
    const alice = userStream("alice");
    const ts = Date.now();
    const publication = { body: '"data":1}', ts, live: false, expiresAtMs: 0, collapse: undefined };
    await broker.publish(alice, publication);
    await redis.xadd(`${redisPrefix}:{u:alice}:log`, "2-0", "m", "nonsense");
    await redis.hset(`${redisPrefix}:{u:alice}:meta`, "offset", 2);
    await broker.publish(alice, publication);
    const page = await broker.history(alice, 0, 10);
    expect(page.messages.map(({ position }) => position?.offset)).toEqual([1, 3]);
    expect(page).toMatchObject({ first: 1, last: 3, reaches: 3 });
    expect(malformed).toBe(1);
  });
});
