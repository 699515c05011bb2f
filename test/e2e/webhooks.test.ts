import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, inject, it, onTestFinished } from "vitest";
import { freePort } from "../support/free-port.ts";
import { runCli, startProcess } from "../support/process.ts";
import { startService, uniquePrefix, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { WebhookReceiver, webhookSecret } from "../support/webhook-receiver.ts";

const env = ({ url }: WebhookReceiver) => ({ WEBHOOK_URL: url.href, WEBHOOK_SECRET: webhookSecret });

it("tells of what reached nobody also when the replica that published it is killed", async () => {
  const receiver = await WebhookReceiver.start();
  const shared = { ...env(receiver), REDIS_URL: inject("redisUrl"), REDIS_PREFIX: uniquePrefix() };
  const [one, two] = await Promise.all([1, 2].map(() => startProcess({ ...shared, WEBHOOK_UNDELIVERED_SECONDS: "2" })));
  for (const service of [one, two]) await until(async () => (await service?.call("GET", "/readyz"))?.status === 200);
  const { json } = (await one?.call("POST", "/users/alice/messages", { data: "hello" })) ?? { json: {} };
  one?.child.kill("SIGKILL");
  await one?.exited;
  expect(receiver.events).toEqual([]);
  const [event] = await receiver.awaited("undelivered", 1, 10_000);
  expect(event).toMatchObject({ id: `undelivered_${json.id}`, user: "alice", message: { data: "hello" } });
});

it("sends on SIGTERM what waits, the end of the connections included, and exits with 0 in time", async () => {
  const receiver = await WebhookReceiver.start((response, number) => response.writeHead(number ? 204 : 503).end());
  const { child, port, exited } = await startProcess({ ...env(receiver), DRAIN_TIMEOUT_MS: "3000" });
  const client = await TestClient.welcomed(port, "alice");
  client.send({ type: "message", data: "last words" });
  await receiver.awaited("message");
  const start = performance.now();
  child.kill("SIGTERM");
  expect((await client.closed).code).toBe(1001);
  expect(await exited).toBe(0);
  expect(performance.now() - start).toBeLessThan(3500);
  const taken = receiver.batches.slice(1).flatMap(({ events }) => events);
  expect(taken.map(({ type }) => type)).toEqual(["connect", "message", "disconnect"]);
  expect(taken.at(-1)).toMatchObject({ reason: "going_away" });
});

it("is done on SIGTERM with what it has told: nobody tells it again", async () => {
  const held: ServerResponse[] = [];
  const receiver = await WebhookReceiver.start((response) => void held.push(response));
  const shared = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: uniquePrefix(), WEBHOOK_UNDELIVERED_SECONDS: "1" };
  const { child, call, exited } = await startProcess({ ...env(receiver), ...shared });
  await until(async () => (await call("GET", "/readyz")).status === 200);
  await call("POST", "/users/alice/messages", { data: "hello" });
  const redis = new Redis(shared.REDIS_URL);
  onTestFinished(() => redis.disconnect());
  await receiver.awaited("undelivered");
  expect(await redis.zcard(`${shared.REDIS_PREFIX}:reminders`)).toBe(1);
  child.kill("SIGTERM");
  await until(async () => (await call("GET", "/readyz").catch(() => ({ status: 0 }))).status !== 200);
  held[0]?.writeHead(204).end();
  expect(await exited).toBe(0);
  expect(await redis.zcard(`${shared.REDIS_PREFIX}:reminders`)).toBe(0);
});

it("does not start without a secret, with a bad one, or with a URL that is none, and quotes neither", async () => {
  const { code, stderr } = await runCli(["serve"], { WEBHOOK_URL: "https://u:hush-hush@example.com" });
  expect([code, stderr.match(/^belfry: \w+/gm)]).toEqual([78, ["belfry: WEBHOOK_SECRET"]]);
  const bad = await runCli(["serve"], { WEBHOOK_URL: "ftp://u:hush-hush@x", WEBHOOK_SECRET: "whsec_c2hvcnQgb25l" });
  expect([bad.code, bad.stderr.match(/^belfry: \w+/gm)]).toEqual([
    78,
    ["belfry: WEBHOOK_URL", "belfry: WEBHOOK_SECRET"],
  ]);
});

it("has an example of a receiver that works", async () => {
  const [, source = ""] = /```js\n(.*?)```/s.exec(readFileSync("docs/webhooks.md", "utf8")) ?? [];
  const directory = await mkdtemp(join(tmpdir(), "belfry-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, "receiver.mjs");
  writeFileSync(file, source);
  const port = await freePort();
  const child = spawn(process.execPath, [file], { env: { PORT: String(port), WEBHOOK_SECRET: webhookSecret } });
  onTestFinished(() => void child.kill());
  let said = "";
  child.stdout.on("data", (chunk) => {
    said += chunk;
  });
  const webhookUrl = new URL(`http://127.0.0.1:${port}`);
  await until(() =>
    fetch(webhookUrl, { method: "POST", body: "{}" }).then(
      ({ status }) => status === 401,
      () => false,
    ),
  );
  const service = await startService({ webhookUrl, webhookSecret, webhookUndeliveredSeconds: 0.1 });
  (await TestClient.welcomed(service.port, "alice")).ws.close();
  await service.call("POST", "/users/bob/messages", { data: { n: 1 } });
  await until(() => said.split("\n").length > 3);
  expect(said.trim().split("\n").toSorted()).toEqual(["alice: connect", "alice: disconnect", 'mail to bob: {"n":1}']);
  expect(await service.metric('belfry_webhook_events_total{type="connect",result="sent"}')).toBe(1);
});
