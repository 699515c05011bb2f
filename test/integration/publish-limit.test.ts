import { Redis } from "ioredis";
import { expect, inject, it, onTestFinished } from "vitest";
import { readConfig } from "../../src/config.ts";
import { hush } from "../support/secrets.ts";
import { type Service, startReplicas, startService, uniquePrefix, until } from "../support/service.ts";

const { apiKeys } = readConfig({ API_KEYS: ["shop:sesame", "shop:barley", "audit:rye"].map(hush).join(",") });
const bearer = (secret: string) => ({ authorization: `Bearer ${hush(secret)}` });
const publish = ({ call }: Service, secret: string) => call("POST", "/broadcast", { data: 1 }, bearer(secret));
const batch = (messages: number) => ({
  messages: Array.from({ length: messages }, () => ({ to: "broadcast", data: 1 })),
});

it("MAX_PUBLISHES_PER_SECOND holds for each key over all replicas, and a batch counts its messages", async () => {
  const redisPrefix = uniquePrefix();
  const options = { apiKeys, maxPublishesPerSecond: 10, redisPrefix };
  const [one, two] = (await startReplicas(2, options)) as [Service, Service];
  // Ten seconds' worth.
  expect((await one.call("POST", "/batch", batch(100), bearer("sesame"))).status).toBe(202);
  for (const secret of ["sesame", "barley"]) {
    const { status, headers } = await publish(two, secret);
    expect(status).toBe(429);
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(5);
  }
  expect((await publish(two, "rye")).status).toBe(202);

  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  await redis.set(`${redisPrefix}:publishes:shop`, 10, "PX", 100);
  await until(async () => (await publish(one, "barley")).status === 202);
  expect(await redis.keys(`${redisPrefix}:publishes:*`)).toContain(`${redisPrefix}:publishes:shop`);
});

it("a key over its limit is told to come back, and a batch of more than a second's worth how long it takes", async () => {
  const service = await startService({ apiKeys, maxPublishesPerSecond: 10 });
  expect((await service.call("POST", "/batch", batch(25), bearer("sesame"))).status).toBe(202);
  const answer = await publish(service, "sesame");
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "3"]);
});

it("with a limit publishes are answered 503 while Redis is away", async () => {
  const service = await startService({ apiKeys, maxPublishesPerSecond: 10, redisUrl: "redis://127.0.0.1:1" });
  const answer = await publish(service, "sesame");
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
});
