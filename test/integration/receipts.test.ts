import { Redis } from "ioredis";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { userStream } from "../../src/protocol/streams.ts";
import { startProcess } from "../support/process.ts";
import { type Service, startReplicas, uniquePrefix, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { portOf, worlds } from "../support/worlds.ts";

const tabs = (services: readonly Service[], indexes: readonly number[], user = "alice") =>
  Promise.all(indexes.map((index) => TestClient.welcomed(portOf(services, index), user)));
type Tab = Awaited<ReturnType<typeof TestClient.welcomed>>;
const ackOf = ({ welcome }: Tab) => ({ user: welcome["user"], connection: welcome["connection"] });
const byConnection = (acks: readonly { connection: string }[]) =>
  acks.toSorted((a, b) => a.connection.localeCompare(b.connection));
const ack = (tab: TestClient, id: unknown, ref?: string) => tab.send({ type: "ack", id, ref });

/** Nobody waits for any ack any more. */
async function expectNobodyWaits(services: readonly Service[]): Promise<void> {
  await until(() => services.every(({ belfry }) => belfry.hub.receipts.waiting.acks === 0));
}

/** Resolves when everything that the client has sent before was handled. */
async function handled(tab: TestClient): Promise<void> {
  ack(tab, "x", "barrier");
  expect(await tab.next()).toMatchObject({ type: "error", code: "not_found", ref: "barrier" });
}

describe.each(worlds)("a publish with wait=ack, $name", ({ start }) => {
  it.each([
    ["/broadcast", {}],
    ["/users/alice/messages", {}],
    ["/users/alice/messages", { ttl: 0 }],
    ["/broadcast", { ttl: 0 }],
  ])("to %s with %j answers when all who were handed it have acked it", async (path, more) => {
    const services = await start();
    const [{ call }] = services;
    const all = await tabs(services, [0, 1, 1, 2]);
    let isAnswered = false;
    const answer = call("POST", `${path}?wait=ack&timeout=60000`, { data: 1, ...more }).finally(() => {
      isAnswered = true;
    });
    const ids = await Promise.all(all.map(async (tab) => (await tab.next())["id"]));
    for (const tab of all.slice(1)) ack(tab, ids[0]);
    for (const tab of all.slice(1)) await handled(tab);
    expect(isAnswered).toBe(false);
    ack(all[0] as Tab, ids[0]);
    const { status, json } = await answer;
    expect(status).toBe(200);
    expect({ ...json, acks: byConnection(json.acks) }).toEqual({
      id: ids[0],
      receivers: 4,
      acks: byConnection(all.map(ackOf) as { user: string; connection: string }[]),
      complete: true,
    });
    await expectNobodyWaits(services);
  });

  it("says who has acked when time runs out", async () => {
    const services = await start();
    const [{ call }] = services;
    const [one, two] = (await tabs(services, [1, 2])) as [Tab, Tab];
    const answer = call("POST", "/users/alice/messages?wait=ack&timeout=300", { data: 1 });
    ack(one, (await one.next())["id"]);
    await two.next();
    expect((await answer).json).toMatchObject({ receivers: 2, acks: [ackOf(one)], complete: false });
    await expectNobodyWaits(services);
  });

  it("takes a later ack for all messages before it, and one of another stream for none", async () => {
    const services = await start();
    const [{ call }] = services;
    const [one] = (await tabs(services, [1])) as [Tab];
    const first = call("POST", "/users/alice/messages?wait=ack&timeout=60000", { data: 1 });
    await one.next();
    const broadcast = call("POST", "/broadcast?wait=ack&timeout=300", { data: 2 });
    await one.next();
    const last = call("POST", "/users/alice/messages?wait=ack&timeout=60000", { data: 3 });
    ack(one, (await one.next())["id"]);
    expect([(await first).json.complete, (await last).json.complete]).toEqual([true, true]);
    expect((await broadcast).json).toMatchObject({ receivers: 1, acks: [], complete: false });
  });

  it("does not wait for a connection that goes away, and counts one that has acked before it went", async () => {
    const services = await start();
    const [{ call }] = services;
    const [one, two, three] = (await tabs(services, [0, 1, 2])) as [Tab, Tab, Tab];
    const answer = call("POST", "/users/alice/messages?wait=ack&timeout=60000", { data: 1 });
    const ids = await Promise.all([one, two, three].map(async (tab) => (await tab.next())["id"]));
    // It is waited for by now, or may go too early.
    const waiting = () => [...new Set(services)].map(({ belfry }) => belfry.hub.receipts.waiting.acks);
    await until(() => waiting().reduce((sum, acks) => sum + acks, 0) === 3);
    ack(one, ids[0]);
    await handled(one);
    one.ws.close();
    two.ws.terminate();
    await two.closed;
    ack(three, ids[0]);
    const { json } = await answer;
    expect({ ...json, acks: byConnection(json.acks) }).toMatchObject({
      receivers: 2,
      acks: byConnection([one, three].map(ackOf) as { connection: string }[]),
      complete: true,
    });
    await expectNobodyWaits(services);
  });

  it("answers at once when nobody is connected, and does not wait for who comes later", async () => {
    const services = await start();
    const [{ call }] = services;
    const none = { receivers: 0, acks: [], complete: true };
    for (const path of ["/users/alice/messages", "/topics/news/messages", "/broadcast"]) {
      const { status, json } = await call("POST", `${path}?wait=ack&timeout=60000`, { data: 1 });
      expect([status, json]).toEqual([200, { id: expect.any(String), ...none }]);
    }
    const [one] = (await tabs(services, [1])) as [Tab];
    const answer = call("POST", "/users/alice/messages?wait=ack&timeout=60000", { data: 1 });
    const { id } = await one.next();
    await tabs(services, [1, 2]);
    ack(one, id);
    expect((await answer).json).toMatchObject({ receivers: 1, acks: [ackOf(one)], complete: true });
  });

  it("counts an ack that came before anybody asked", async () => {
    const services = await start();
    const [{ call }] = services;
    const [one] = (await tabs(services, [1])) as [Tab];
    for (const body of [{ data: 1 }, { data: 2, ttl: 0 }]) {
      const headers = { "idempotency-key": `k${body.data}` };
      const first = await call("POST", "/users/alice/messages", body, headers);
      ack(one, (await one.next())["id"]);
      await handled(one);
      // The repetition publishes nothing, and finds the first one acked.
      const again = await call("POST", "/users/alice/messages?wait=ack&timeout=60000", body, headers);
      expect(again.headers.get("idempotency-replayed")).toBe("true");
      expect(again.json).toEqual({ id: first.json.id, receivers: 1, acks: [ackOf(one)], complete: true });
    }
  });

  it("refuses other ways to wait, and a batch", async () => {
    const services = await start();
    const [{ call }] = services;
    for (const [query, place] of [
      ["wait=yes", "wait"],
      ["wait=", "wait"],
      ["wait=ack&timeout=0", "timeout"],
      ["wait=ack&timeout=100001", "timeout"],
      ["wait=ack&timeout=1.5", "timeout"],
    ]) {
      const { status, json } = await call("POST", `/broadcast?${query}`, { data: 1 });
      expect([status, json.errors[0].path]).toEqual([422, place]);
    }
    const batch = await call("POST", "/batch?wait=ack", { messages: [{ to: "broadcast", data: 1 }] });
    expect([batch.status, batch.json.errors[0].path]).toEqual([422, "wait"]);
    expect((await call("GET", "/broadcast")).json.last).toBe(0);
  });

  it("of which there are 2,000 to one user are all answered, and leave nothing behind", async () => {
    const services = await start({ maxClientFramesPerSecond: 1_000_000, sendBufferBytes: 1 << 26 });
    const all = await tabs(services, [0, 1, 2]);
    for (const tab of all) tab.ws.on("message", (text) => ack(tab, JSON.parse(String(text)).id));
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const acks = Array.from({ length: 2000 }, async (__, n) => {
      const { hub } = (services[n % services.length] as Service).belfry;
      const { id } = await hub.broadcastUser("alice", n, { ttl: n % 4 ? undefined : 0 });
      return hub.receipts.wait(userStream("alice"), id, 60_000);
    });
    for (const one of await Promise.all(acks)) expect(one).toMatchObject({ receivers: 3, complete: true });
    await expectNobodyWaits(services);
    await until(() => services.every(({ belfry }) => belfry.hub.receipts.waiting.streams === 0));
    await until(() => timers() <= before);
  }, 30_000);
});

describe.each(worlds)("an ack, $name", ({ start }) => {
  it("of what was never sent to the connection is answered with not_found, if it has a ref", async () => {
    const services = await start();
    const [{ call }] = services;
    const send = async (path: string, more = {}): Promise<string> =>
      (await call("POST", path, { data: 1, ...more })).json.id;
    const before = await send("/users/alice/messages");
    const [alice] = (await tabs(services, [1])) as [Tab];
    const [bob] = (await tabs(services, [1], "bob")) as [Tab];
    const hers = await send("/users/alice/messages");
    const live = await send("/users/alice/messages", { ttl: 0 });
    for (const id of [hers, live]) expect(await alice.next()).toMatchObject({ id });
    const ahead = hers.replace(/\d+$/, "99");
    const broadcast = hers.replace("u-", "b-");
    for (const id of [before, ahead, broadcast, `${hers}x`, "l-abc-1", "t-abc-1", "u-abc-1", "?"]) {
      ack(alice, id, "r");
      expect(await alice.next()).toMatchObject({ type: "error", code: "not_found", ref: "r" });
    }
    for (const id of [hers, live]) {
      ack(bob, id, "forged");
      expect(await bob.next()).toMatchObject({ type: "error", code: "not_found", ref: "forged" });
    }
    const [late] = (await tabs(services, [1])) as [Tab];
    ack(late, live, "late");
    expect(await late.next()).toMatchObject({ code: "not_found", ref: "late" });
    // A taken one has no answer.
    for (const id of [hers, hers, live, live]) ack(alice, id);
    await handled(alice);
  });

  it("may be of a message that the client had when it came back", async () => {
    const services = await start();
    const [{ call }] = services;
    const [first] = (await tabs(services, [1])) as [Tab];
    await call("POST", "/users/alice/messages", { data: 1 });
    const { id } = await first.next();
    first.ws.terminate();
    const again = await TestClient.welcomed(portOf(services, 2), "alice", { path: `/ws?since=${id}` });
    ack(again, id);
    await handled(again);
    await until(async () => (await call("GET", `/messages/${id}`)).json.acked === true);
  });
});

describe.each(worlds)("GET /messages/:id, $name", ({ start }) => {
  it("says of a message what history says, and who has acked it", async () => {
    const services = await start();
    const [{ call }] = services;
    const data = '{"z":-0.0, "a":12345678901234567890}';
    const { id } = (await call("POST", "/users/alice/messages", `{"event":"e","data":${data}}`)).json;
    const unread = await call("GET", `/messages/${id}`);
    expect(unread.status).toBe(200);
    const ts = unread.json.ts;
    const fields = `"id":"${id}","scope":"user","event":"e","data":${data},"ts":${ts}`;
    expect(unread.text).toBe(`{${fields},"acked":false,"acks":[]}`);

    const resumed = { path: "/ws?since=earliest" };
    const [one, two] = (await Promise.all(
      [1, 2].map((index) => TestClient.welcomed(portOf(services, index), "alice", resumed)),
    )) as [Tab, Tab];
    for (const tab of [one, two]) expect(await tab.next()).toMatchObject({ id });
    ack(one, id);
    await handled(one);
    expect((await call("GET", `/messages/${id}`)).json).toMatchObject({ id, acked: true, acks: [ackOf(one)] });

    one.ws.close();
    await until(async () => (await call("GET", `/messages/${id}`)).json.acks.length === 0);
    expect((await call("GET", `/messages/${id}`)).json).toMatchObject({ acked: true, acks: [] });
    two.ws.close();
    await until(async () => (await call("GET", "/users/alice")).json.online === false);
    await until(async () => (await call("GET", `/messages/${id}`)).json.acked === true);
    const next = (await call("POST", "/users/alice/messages", { data: 2 })).json.id;
    expect((await call("GET", `/messages/${next}`)).json).toMatchObject({ data: 2, acked: false });
  });

  it("finds broadcasts and messages of topics too", async () => {
    const services = await start();
    const [{ call }] = services;
    const [one] = (await tabs(services, [1])) as [Tab];
    const broadcast = (await call("POST", "/broadcast", { data: 1 })).json.id;
    const topic = (await call("POST", "/topics/a%7Bb%7D/messages", { data: 2 })).json.id;
    expect((await call("GET", `/messages/${topic}`)).json).toMatchObject({ topic: "a{b}", data: 2, acked: false });
    await one.next();
    expect((await call("GET", `/messages/${broadcast}`)).json).toMatchObject({ data: 1, acked: false, acks: [] });
    ack(one, broadcast);
    await handled(one);
    const { json } = await call("GET", `/messages/${broadcast}`);
    expect(json).toMatchObject({ scope: "broadcast", acked: true, acks: [ackOf(one)] });
  });

  it("is 404 for what is not in history, or not any more", async () => {
    const services = await start({ historySize: 2 });
    const [{ call }] = services;
    const send = async (more: object) => (await call("POST", "/users/alice/messages", { data: 1, ...more })).json.id;
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.push(await send({ collapse: n === 0 ? undefined : "k" }));
    const [trimmed = "", collapsed = "", kept = ""] = ids;
    const more = [await send({}), await send({})];
    const live = await send({ ttl: 0 });
    const expired = await send({ ttl: 0.001 });
    const gone = [trimmed, collapsed, kept, live, expired, `${more[0]}9`, "u-abc-1", "b-abc-1", "nothing"];
    // Where the message is does not depend on what the id says of its scope.
    gone.push(
      (more[1] ?? "").replace("u-", "b-"),
      (more[1] ?? "").replace("u-", "t-"),
      (more[1] ?? "").replace(/\d+$/, "0"),
    );
    await until(async () => (await call("GET", `/messages/${expired}`)).status === 404);
    for (const id of gone) {
      const { status, json } = await call("GET", `/messages/${id}`);
      expect([id, status, json.type]).toEqual([id, 404, "urn:belfry:error:not_found"]);
    }
  });
});

describe("receipts on several replicas", () => {
  it("are given in time although a replica was killed, and say that they are not complete", async () => {
    const redisPrefix = uniquePrefix();
    const [here] = (await startReplicas(1, { redisPrefix })) as [Service];
    const { child, port, call } = await startProcess({ REDIS_URL: inject("redisUrl"), REDIS_PREFIX: redisPrefix });
    await until(async () => (await call("GET", "/readyz")).status === 200);
    const [mine] = (await tabs([here], [0])) as [Tab];
    const there = await TestClient.welcomed(port, "alice");
    const answer = here.call("POST", "/users/alice/messages?wait=ack&timeout=1000", { data: 1 });
    const { id } = await mine.next();
    await there.next();
    child.kill("SIGKILL");
    ack(mine, id);
    expect((await answer).json).toMatchObject({ id, acks: [ackOf(mine)], complete: false });
    await expectNobodyWaits([here]);
  });

  it("are kept in Redis at most once a second for each stream, and when the last connection leaves", async () => {
    const redisPrefix = uniquePrefix();
    const [one] = (await startReplicas(1, { redisPrefix, maxClientFramesPerSecond: 1_000_000 })) as [Service];
    const [tab] = (await tabs([one], [0])) as [Tab];
    const redis = new Redis(inject("redisUrl"));
    onTestFinished(() => redis.disconnect());
    const acked = () => redis.hget(`${redisPrefix}:{u:alice}:meta`, "acked");
    const writes = () => one.metric('belfry_broker_seconds_count{operation="acked"}');
    const ids: unknown[] = [];
    for (let n = 0; n < 200; n++) await one.call("POST", "/users/alice/messages", { data: n });
    for (let n = 0; n < 200; n++) ids.push((await tab.next())["id"]);
    for (const id of ids.slice(0, 199)) ack(tab, id);
    await until(async () => (await acked())?.endsWith("-199") ?? false);
    expect(await writes()).toBeLessThanOrEqual(2);
    ack(tab, ids[199]);
    await handled(tab);
    tab.ws.close();
    await until(async () => (await acked())?.endsWith("-200") ?? false);
    expect(await writes()).toBeLessThanOrEqual(4);
  });

  it("are kept when the service ends", async () => {
    const redisPrefix = uniquePrefix();
    const [one] = (await startReplicas(1, { redisPrefix })) as [Service];
    const [tab] = (await tabs([one], [0])) as [Tab];
    await one.call("POST", "/users/alice/messages", { data: 1 });
    const { id } = await tab.next();
    ack(tab, id);
    await handled(tab);
    await one.belfry.close();
    const [two] = (await startReplicas(1, { redisPrefix })) as [Service];
    expect((await two.call("GET", `/messages/${id}`)).json).toMatchObject({ acked: true, acks: [] });
  });
});
