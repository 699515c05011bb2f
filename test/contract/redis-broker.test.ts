import { Redis } from "ioredis";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import type { Answers, BrokerHandler, Message, Publication } from "../../src/broker/broker.ts";
import { RedisBroker, type RedisBrokerOptions } from "../../src/broker/redis-broker.ts";
import { releaseScript } from "../../src/broker/redis-scripts.ts";
import { createLog } from "../../src/log.ts";
import { broadcastStream, userStream } from "../../src/protocol/streams.ts";
import { uniquePrefix, until } from "../support/service.ts";

describe("RedisBroker", () => {
  it("begins a new epoch for a stream that is shorter than the caller knew", async () => {
    const { broker, redis, redisPrefix } = await start();
    const alice = userStream("alice");
    for (let n = 0; n < 3; n++) await broker.publish(alice, publication());
    const [before] = await broker.subscribe([alice]);
    expect(await broker.subscribe([alice], [before])).toEqual([before]);
    await fallBack(redis, `${redisPrefix}:{u:alice}`, 2);
    const [shorter] = await broker.subscribe([alice], [before]);
    expect(shorter?.offset).toBe(2);
    expect(shorter?.epoch).not.toBe(before?.epoch);
    expect(await broker.subscribe([alice], [before])).toEqual([shorter]);
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
    expect(before).toMatchObject({ offset: 2, seen: [{ offset: 2, ts: 1000 }] });
    const seen = (...ts: number[]) =>
      before && { ...before, seen: ts.map((t, index) => ({ offset: index + 1, ts: t })) };
    const [same] = await broker.subscribe([alice], [seen(1000, 1001)]);
    expect(same).toMatchObject({ epoch: before?.epoch, offset: 2, seen: [{ offset: 2, ts: 1001 }] });
    const [other] = await broker.subscribe([alice], [before]);
    expect(other?.offset).toBe(2);
    expect(other?.epoch).not.toBe(before?.epoch);
    // Also where the last one seen is gone, but not the one before it.
    await redis.xdel(`${redisPrefix}:{u:alice}:log`, "2-0");
    const [third] = await broker.subscribe([alice], [other && { ...other, seen: seen(999, 1000)?.seen ?? [] }]);
    expect(third?.epoch).not.toBe(other?.epoch);
  });

  it("gives the first answer again for what a new epoch has kept, and publishes anew what is gone", async () => {
    const { broker, redis, redisPrefix } = await start();
    const alice = userStream("alice");
    const publish = (key: string) => broker.publish(alice, publication(1, { key, fingerprint: "f" }));
    const first = await publish("k1");
    await publish("k2");
    const [before] = await broker.subscribe([alice]);
    await fallBack(redis, `${redisPrefix}:{u:alice}`, 1);
    const [after] = await broker.subscribe([alice], [before]);
    expect(await publish("k1")).toEqual({ ...first, id: `u-${after?.epoch}-1`, replayed: true });
    expect(await publish("k2")).toMatchObject({ id: `u-${after?.epoch}-2`, replayed: false });
  });

  it("keeps which stream an epoch belongs to for as long as the meta, and longer when it is subscribed to", async () => {
    const alice = userStream("alice");
    const { broker, redis, redisPrefix } = await start({ historyTtlSeconds: 60 });
    const epoch = (await broker.publish(alice, publication())).id.split("-")[1];
    const key = `${redisPrefix}:epoch:${epoch}`;
    expect([await redis.get(key), await redis.ttl(key)]).toEqual(["u:alice", 30 * 86400]);
    await redis.pexpire(key, 1000);
    await broker.publish(alice, publication());
    expect(await redis.ttl(key)).toBeLessThanOrEqual(1);
    await broker.subscribe([alice]);
    await until(async () => (await redis.ttl(key)) > 86400);
    await broker.publish(broadcastStream, publication());
    expect(await redis.keys(`${redisPrefix}:epoch:*`)).toEqual([key]);
  });

  it("forgets how far a stream was acked with its epoch", async () => {
    const alice = userStream("alice");
    const { broker, redis, redisPrefix } = await start();
    for (let n = 0; n < 3; n++) await broker.publish(alice, publication());
    const [before] = await broker.subscribe([alice]);
    await broker.keepAcked(alice, { epoch: before?.epoch ?? "", offset: 3 });
    await fallBack(redis, `${redisPrefix}:{u:alice}`, 2);
    const [after] = await broker.subscribe([alice], [before]);
    expect(await broker.history(alice, 0, 1)).toMatchObject({ epoch: after?.epoch, acked: 0 });
    await broker.keepAcked(alice, { epoch: after?.epoch ?? "", offset: 1 });
    expect((await broker.history(alice, 0, 1)).acked).toBe(1);
  });

  it("asks all replicas that are subscribed, each once, and is content with the first that knows", async () => {
    const alice = userStream("alice");
    const forever = new Promise<never>(() => {});
    const { broker: asker, redisPrefix } = await start();
    const { broker: silent } = await start({ redisPrefix }, () => forever);
    const { broker: knowing } = await start({ redisPrefix }, async (_, question) => ({ heard: question }));
    for (const broker of [silent, knowing]) await broker.subscribe([alice]);
    const isLast = () => true;
    expect(await asker.ask(alice, "who?", { timeoutMs: 60_000, isLast })).toEqual({
      answers: [{ heard: "who?" }],
      replicas: 2,
    });
  });

  it("goes on with everything else while thousands of questions wait for their answers", async () => {
    const alice = userStream("alice");
    const thousands = 10_500;
    let asked = 0;
    const answer = Promise.withResolvers<string>();
    const { broker } = await start({}, () => {
      asked++;
      return answer.promise;
    });
    await broker.subscribe([alice]);
    const waiting: Promise<Answers>[] = [];
    // Each turn fewer than what may be on its way to Redis at once.
    while (waiting.length < thousands) {
      const sent = waiting.length;
      for (let n = 0; n < 1500; n++) waiting.push(broker.ask(alice, "?", { timeoutMs: 60_000 }));
      await until(() => asked === sent + 1500);
    }
    expect((await broker.publish(alice, publication())).id).toMatch(/^u-/);
    await broker.check();
    answer.resolve("yes");
    for (const { answers } of await Promise.all(waiting)) expect(answers).toEqual(["yes"]);
  });

  describe("with replicas to wait for, which are not there", () => {
    const alice = userStream("alice");
    const refused = {
      code: "unavailable",
      message: "Redis did not confirm that 1 of its replicas have what was written",
    };

    it("holds messages back, which change nothing before they are released: in order, by who does not wait", async () => {
      const { broker, redisPrefix, received } = await start();
      const { broker: waiting } = await start({ redisWaitReplicas: 1, redisPrefix });
      await broker.subscribe([alice]);
      const publish = (n: number, collapse?: string) => publication(n, undefined, collapse);
      for (let n = 1; n <= 10; n++) await broker.publish(alice, publish(n, n === 1 ? "k" : undefined));
      for (let n = 11; n <= 13; n++) {
        await expect(waiting.publish(alice, publish(n, n === 11 ? "k" : undefined))).rejects.toMatchObject(refused);
      }
      const offsets = async () => {
        const { first, last, messages } = await broker.history(alice, 0, 100);
        return [first, last, ...messages.map(({ position }) => position?.offset)];
      };
      expect(await offsets()).toEqual([1, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect((await waiting.subscribe([alice]))[0]?.offset).toBe(10);
      await broker.publish(alice, publish(14));
      expect(await offsets()).toEqual([5, 14, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
      await until(() => received.length === 14);
      expect(received.map(({ ts }) => ts)).toEqual(Array.from({ length: 14 }, (_, index) => index + 1));
    });

    it("releases what its publisher repeats where nobody waits, and gives that answer again where somebody does", async () => {
      const { broker, redisPrefix, received } = await start();
      const { broker: waiting } = await start({ redisWaitReplicas: 1, redisPrefix });
      await broker.subscribe([alice]);
      const given = publication(1, { key: "k", fingerprint: "f" });
      await expect(waiting.publish(alice, given)).rejects.toMatchObject(refused);
      await expect(waiting.publish(alice, given)).rejects.toMatchObject(refused);
      const other = publication(1, { key: "k", fingerprint: "g" });
      await expect(waiting.publish(alice, other)).rejects.toMatchObject({ code: "invalid" });
      const { id } = await broker.publish(alice, given);
      await until(() => received.length === 1);
      expect(received[0]?.id).toBe(id);
      const second = publication(1, { key: "k2", fingerprint: "f" });
      const published = await broker.publish(alice, second, 3);
      expect(await waiting.publish(alice, second)).toEqual({ ...published, replayed: true });
      expect((await broker.history(alice, 0, 10)).last).toBe(2);
    });

    it("shows what a master holds that was promoted, although it did not hear of the release", async () => {
      const { broker, redis, redisPrefix } = await start();
      for (let n = 0; n < 2; n++) await broker.publish(alice, publication());
      const meta = `${redisPrefix}:{u:alice}:meta`;
      const [, replid] = /master_replid:(\w+)/.exec(await redis.info("replication")) ?? [];
      await redis.hset(meta, "held", 2, "holder", replid ?? "");
      expect((await broker.history(alice, 0, 10)).last).toBe(1);
      expect((await broker.subscribe([alice]))[0]?.offset).toBe(1);
      await redis.hset(meta, "holder", "0123456789abcdef");
      expect((await broker.history(alice, 0, 10)).messages).toHaveLength(2);
      expect((await broker.subscribe([alice]))[0]?.offset).toBe(2);
    });

    it("keeps streams and idempotency keys apart whatever they are called", async () => {
      const { broker, redis, redisPrefix } = await start();
      const crafty = userStream("alice}:once:k");
      await broker.publish(crafty, publication());
      const idempotency = { key: "k}:meta", fingerprint: "f" };
      expect((await broker.publish(alice, { ...publication(), idempotency })).replayed).toBe(false);
      await broker.claim({ key: "{u:alice}:k}:meta", fingerprint: "f" });
      expect((await broker.publish(alice, { ...publication(), idempotency })).replayed).toBe(true);
      expect(await redis.hkeys(`${redisPrefix}:{${crafty.key}}:meta`)).not.toContain("fingerprint");
    });

    it("begins no stream anew in its old epoch when everything was deleted before the release", async () => {
      const { redis, redisPrefix } = await start();
      const channel = `${redisPrefix}:{u:alice}`;
      const keys = [
        ...["meta", "log", "collapse"].map((name) => `${channel}:${name}`),
        `${redisPrefix}:once:{u:alice}:`,
      ];
      expect(await redis.eval(releaseScript("PUBLISH"), 4, ...keys, channel, "oldepoch", 1, 10, 60_000, 0, 0)).toBe(-1);
      expect(await redis.exists(...keys)).toBe(0);
    });

    it("holds back so many and no more", async () => {
      const { broker, redis, redisPrefix } = await start({ redisWaitReplicas: 1 });
      await expect(broker.publish(alice, publication())).rejects.toMatchObject(refused);
      await redis.hset(`${redisPrefix}:{u:alice}:meta`, "offset", 10_011);
      await expect(broker.publish(alice, publication())).rejects.toMatchObject({
        message: "too many messages wait for replicas of Redis",
      });
    });
  });

  it("keeps a stream's epoch as long as its messages, also when it is only read", async () => {
    const { broker, redis, redisPrefix } = await start({ historyTtlSeconds: 60 * 86400 });
    const alice = userStream("alice");
    await broker.publish(alice, publication());
    await broker.history(alice, 0, 1);
    await broker.subscribe([alice]);
    expect(await redis.ttl(`${redisPrefix}:{u:alice}:meta`)).toBeGreaterThan(59 * 86400);
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

async function start(changes: Partial<RedisBrokerOptions> = {}, onQuestion: BrokerHandler["onQuestion"] = () => null) {
  const { redisPrefix = uniquePrefix() } = changes;
  let malformed = 0;
  const received: Message[] = [];
  const broker = new RedisBroker({
    redisUrl: inject("redisUrl"),
    redisWaitReplicas: 0,
    redisPrefix,
    log: createLog("silent"),
    historySize: 10,
    historyTtlSeconds: 2e9,
    idempotencyTtlSeconds: 60,
    onMalformed: () => void malformed++,
    ...changes,
  });
  const connected = Promise.withResolvers<void>();
  broker.start({
    onMessage: (message) => void received.push(message),
    onQuestion,
    onExternalPublish: () => {},
    onConnected: () => connected.resolve(),
  });
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(async () => {
    redis.disconnect();
    await broker.close();
  });
  await connected.promise;
  return { broker, redis, redisPrefix, received, malformed: () => malformed };
}

function publication(ts = Date.now(), idempotency?: Publication["idempotency"], collapse?: string): Publication {
  return { body: '"data":1}', ts, live: false, expiresAtMs: 0, collapse, idempotency };
}

/** What a failover to a replica that was behind does: what stands behind an offset is gone. */
async function fallBack(redis: Redis, channel: string, offset: number): Promise<void> {
  await redis.hset(`${channel}:meta`, "offset", offset);
  const kept = await redis.xrange(`${channel}:log`, "-", `${offset}-0`);
  // Deleting entries would leave the id of the newest one behind.
  await redis.del(`${channel}:log`);
  for (const [id, fields] of kept) await redis.xadd(`${channel}:log`, id, ...fields);
}
