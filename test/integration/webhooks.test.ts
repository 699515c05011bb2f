import { describe, expect, it } from "vitest";
import type { BelfryOptions } from "../../src/index.ts";
import { hush } from "../support/secrets.ts";
import { type Service, startReplicas, startService, uniquePrefix, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { WebhookReceiver, webhookSecret } from "../support/webhook-receiver.ts";
import { homes } from "../support/worlds.ts";

/** What tells a receiver; messages that reach nobody after a moment. */
const to = ({ url: webhookUrl }: WebhookReceiver): BelfryOptions => ({
  webhookUrl,
  webhookSecret,
  webhookUndeliveredSeconds: 0.2,
});

const send = ({ call }: Service, user: string, message: object) => call("POST", `/users/${user}/messages`, message);
const resume = (...since: string[]) => ({ path: `/ws?${since.map((id) => `since=${id}`).join("&")}` });

describe("the backend is told", () => {
  it("when somebody connects and disconnects, and why", async () => {
    const receiver = await WebhookReceiver.start();
    const service = await startService({ ...to(receiver), allowAnonymous: true });
    const client = await TestClient.welcomed(service.port, "alice");
    await TestClient.welcomed(service.port);
    const [connect, anonymous] = await receiver.awaited("connect", 2);
    const connection = client.welcome["connection"];
    expect(connect).toEqual({
      id: `connect_${connection}`,
      type: "connect",
      ts: expect.any(Number),
      user: "alice",
      connection,
      transport: "ws",
      replica: (await service.call("GET", "/stats")).json.replica.replica,
    });
    expect(anonymous?.["user"]).toBe(null);
    client.ws.close();
    const [disconnect] = await receiver.awaited("disconnect");
    expect(disconnect).toMatchObject({ id: `disconnect_${connection}`, user: "alice", connection, reason: "client" });
    await TestClient.welcomed(service.port, "bob");
    await service.call("DELETE", "/users/bob/connections");
    expect((await receiver.awaited("disconnect", 2))[1]).toMatchObject({ user: "bob", reason: "forbidden" });
    await until(
      async () => (await service.metric('belfry_webhook_events_total{type="disconnect",result="sent"}')) === 2,
    );
    expect(await service.metric("belfry_webhook_events_waiting")).toBe(0);
  });

  it("nothing of connections that were never registered", async () => {
    const receiver = await WebhookReceiver.start();
    const { port } = await startService({ ...to(receiver), maxConnectionsPerUser: 1 });
    const client = await TestClient.welcomed(port, "alice");
    const over = await TestClient.open(port, "alice");
    expect((await over.closed).code).toBe(4429);
    client.ws.close();
    await receiver.awaited("disconnect");
    expect(receiver.events.map(({ type, user }) => `${type} ${user}`)).toEqual(["connect alice", "disconnect alice"]);
  });

  it("what clients send, exactly as they wrote it, in their order, beside onMessage", async () => {
    const receiver = await WebhookReceiver.start();
    const heard: unknown[] = [];
    const { port } = await startService({ ...to(receiver), onMessage: ({ data }) => void heard.push(data) });
    const client = await TestClient.welcomed(port, "alice");
    client.send('{"data":"no","type":"message","event":"typed", "data" :\t{"n":1e400,"z":-0.0,"a":"\\u0041"}}');
    client.send({ type: "message", data: null });
    const [first, second] = await receiver.awaited("message", 2);
    expect(first).toMatchObject({ user: "alice", connection: client.welcome["connection"], event: "typed" });
    expect(receiver.batches.map(({ text }) => text).join("")).toContain('"data":{"n":1e400,"z":-0.0,"a":"\\u0041"}}');
    expect(second).toMatchObject({ data: null });
    expect(second).not.toHaveProperty("event");
    expect(heard).toEqual([{ n: Number.POSITIVE_INFINITY, z: -0, a: "A" }, null]);
    expect(client.queue).toEqual([]);
  });

  it("behind everybody's back: a backend that hangs holds up neither messages nor frames, and who sends too much is told", async () => {
    const receiver = await WebhookReceiver.start(() => {});
    const service = await startService({ ...to(receiver), maxClientFramesPerSecond: 100_000 });
    const client = await TestClient.welcomed(service.port, "alice");
    for (let n = 0; n < 3000; n++) client.send({ type: "message", data: n, ref: n });
    expect(await client.next()).toMatchObject({ type: "error", code: "failed" });
    const start = performance.now();
    for (let n = 0; n < 50; n++) expect((await send(service, "alice", { data: n })).json.receivers).toBe(1);
    expect(performance.now() - start).toBeLessThan(2000);
    await until(() => client.queue.some((text) => text.includes('"data":49')));
    expect(await service.metric("belfry_webhook_events_waiting")).toBe(2500);
    expect(await service.metric('belfry_webhook_events_total{type="message",result="dropped"}')).toBe(501);
    expect(service.logs.filter((line) => line.includes("webhook events were lost"))).toHaveLength(1);
  });
});

describe.each(homes)("a message that reached nobody, $name,", ({ start }) => {
  it("is told to the backend as its user would have been given it", async () => {
    const receiver = await WebhookReceiver.start();
    const service = await start(to(receiver));
    const { json } = await service.call("POST", "/users/alice%20b/messages", '{"event":"mail","data":{"n":1e400}}', {});
    const [event] = await receiver.awaited("undelivered");
    expect(event).toMatchObject({
      id: `undelivered_${json.id}`,
      user: "alice b",
      message: { id: json.id, event: "mail" },
    });
    expect(receiver.batches[0]?.text).toContain(
      `{"id":"${json.id}","scope":"user","event":"mail","data":{"n":1e400},"ts":`,
    );
    await until(
      async () => (await service.metric('belfry_webhook_events_total{type="undelivered",result="sent"}')) === 1,
    );
  });

  it("is not told when somebody resumes from before it in time, but when somebody begins live", async () => {
    const receiver = await WebhookReceiver.start();
    const service = await start({ ...to(receiver), webhookUndeliveredSeconds: 1 });
    const { user } = (await TestClient.welcomed(service.port, "alice")).welcome["positions"] as { user: string };
    await service.call("DELETE", "/users/alice/connections");
    for (const name of ["alice", "bob", "carol"]) await send(service, name, { data: name });
    const alice = await TestClient.welcomed(service.port, "alice", resume(user));
    expect(await alice.next()).toMatchObject({ data: "alice" });
    const bob = await TestClient.welcomed(service.port, "bob", resume("earliest"));
    expect(await bob.next()).toMatchObject({ data: "bob" });
    const carol = await TestClient.welcomed(service.port, "carol");
    await send(service, "barrier", { data: 1 });
    const events = await receiver.awaited("undelivered", 2);
    expect(events.map((event) => event["user"]).toSorted()).toEqual(["barrier", "carol"]);
    expect(carol.queue).toEqual([]);
  });

  it("is not told when it was given, is live only, matters no more, or is for more than one user", async () => {
    const receiver = await WebhookReceiver.start();
    const service = await start(to(receiver));
    await TestClient.welcomed(service.port, "alice");
    await send(service, "alice", { data: "given" });
    await send(service, "bob", { data: "live", ttl: 0 });
    await send(service, "bob", { data: "expired", ttl: 0.01 });
    await send(service, "bob", { data: "older", collapse: "k" });
    await service.call("POST", "/topics/news/messages", { data: "topic" });
    await service.call("POST", "/batch", { messages: [{ to: { user: "bob" }, data: "newer", collapse: "k" }] });
    await send(service, "barrier", { data: "barrier" });
    const events = await receiver.awaited("undelivered", 2);
    expect(events.map(({ message }) => message.data).toSorted()).toEqual(["barrier", "newer"]);
  });

  it("is told once, also when it is published twice under an idempotency key", async () => {
    const receiver = await WebhookReceiver.start();
    const service = await start(to(receiver));
    for (const n of [1, 1, 2]) {
      const headers = { "idempotency-key": `k${n}` };
      await service.call("POST", "/users/alice/messages", { data: n }, headers);
    }
    const events = await receiver.awaited("undelivered", 2);
    expect(events.map(({ message }) => message.data)).toEqual([1, 2]);
  });
});

describe("two replicas", () => {
  it("tell of each message once between them", async () => {
    const receiver = await WebhookReceiver.start();
    const [one, two] = (await startReplicas(2, to(receiver))) as [Service, Service];
    const ids: string[] = [];
    for (let n = 0; n < 150; n++) ids.push((await send(n % 2 ? one : two, `user${n}`, { data: n })).json.id);
    const events = await receiver.awaited("undelivered", 150);
    await until(async () => {
      const of = ({ metric }: Service) => metric('belfry_webhook_events_total{type="undelivered",result="sent"}');
      return (await of(one)) + (await of(two)) === 150;
    });
    expect(new Set(events.map(({ id }) => id))).toEqual(new Set(ids.map((id) => `undelivered_${id}`)));
  });

  it("tell nothing of what was published at one, and given to who resumed at the other", async () => {
    const receiver = await WebhookReceiver.start();
    const shared = { ...to(receiver), webhookUndeliveredSeconds: 1, redisPrefix: uniquePrefix() };
    const [one, two] = (await startReplicas(2, shared)) as [Service, Service];
    for (let n = 0; n < 150; n++) await send(one, "alice", { data: n });
    const alice = await TestClient.welcomed(two.port, "alice", resume("earliest"));
    await alice.take(150);
    await send(one, "bob", { data: 1 });
    expect((await receiver.awaited("undelivered")).map((event) => event["user"])).toEqual(["bob"]);
  });
});

it("keeps the secret and the credentials of the URL out of logs, errors and metrics", async () => {
  const receiver = await WebhookReceiver.start((response, number) => response.writeHead(number ? 400 : 500).end());
  const webhookUrl = receiver.url;
  webhookUrl.username = hush("user");
  webhookUrl.password = hush("password");
  const service = await startService({ ...to(receiver), webhookUrl });
  await TestClient.welcomed(service.port, "alice");
  await until(() => service.logs.some((line) => line.includes("webhook events were lost")));
  expect(service.logs.some((line) => line.includes("a webhook is tried again"))).toBe(true);
});
