import { Redis } from "ioredis";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { parseId } from "../../src/protocol/positions.ts";
import { type Service, startReplicas, startService, uniquePrefix, until } from "../support/service.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { TestClient } from "../support/test-client.ts";

type Three = [Service, Service, Service];

function redisClient(): Redis {
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  return redis;
}

const offsetOf = (id: unknown) => parseId(String(id))?.offset;

describe("three replicas on one Redis", () => {
  it("carry a broadcast to the connections of all", async () => {
    const replicas = (await startReplicas(3)) as Three;
    const clients = await Promise.all(replicas.map(({ port }, index) => TestClient.welcomed(port, `user${index}`)));
    const { json } = await replicas[0].call("POST", "/broadcast", { data: { n: 1 } });
    expect(json.receivers).toBe(3);
    for (const client of clients) expect(await client.next()).toMatchObject({ id: json.id, data: { n: 1 } });
  });

  it("carry a user's message to every tab of the user wherever it is, and to nobody else", async () => {
    const [one, two, three] = (await startReplicas(3)) as Three;
    const tabs = [
      await TestClient.welcomed(one.port, "alice"),
      await TestClient.welcomed(one.port, "alice"),
      await TestClient.welcomed(two.port, "alice"),
    ];
    const others = [await TestClient.welcomed(two.port, "bob"), await TestClient.welcomed(three.port, "carol")];
    const { json } = await three.call("POST", "/users/alice/messages", { data: "hers" });
    expect(json.receivers).toBe(2);
    for (const tab of tabs) expect(await tab.next()).toMatchObject({ id: json.id, scope: "user", data: "hers" });
    const here = await one.call("POST", "/users/alice/messages", { data: "again" });
    expect(here.json.receivers).toBe(3);
    await one.call("POST", "/broadcast", { data: "barrier" });
    for (const other of others) expect(await other.next()).toMatchObject({ data: "barrier" });
  });

  it("are handed a user's message by Redis only while they hold the user", async () => {
    const redisPrefix = uniquePrefix();
    const [one, two, three] = (await startReplicas(3, { redisPrefix })) as Three;
    const redis = redisClient();
    const subscribers = async () => Number((await redis.pubsub("NUMSUB", `${redisPrefix}:{u:alice}`))[1]);
    expect(await subscribers()).toBe(0);
    const first = await TestClient.welcomed(one.port, "alice");
    const second = await TestClient.welcomed(one.port, "alice");
    expect(await subscribers()).toBe(1);
    const third = await TestClient.welcomed(two.port, "alice");
    expect(await subscribers()).toBe(2);
    expect((await three.call("POST", "/users/alice/messages", { data: 1 })).json.receivers).toBe(2);
    third.ws.close();
    await until(async () => (await subscribers()) === 1);
    first.ws.close();
    await until(async () => (await one.call("GET", "/users/alice")).json.connections.length === 1);
    expect(await subscribers()).toBe(1);
    second.ws.close();
    await until(async () => (await subscribers()) === 0);
    expect((await three.call("POST", "/users/alice/messages", { data: 1 })).json.receivers).toBe(0);
  });

  it("number one user's messages from all replicas in one line, and deliver them in it", async () => {
    const replicas = (await startReplicas(3)) as Three;
    const clients = await Promise.all(replicas.map(({ port }) => TestClient.welcomed(port, "alice")));
    const sent = await Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        replicas[(n % 3) as 0 | 1 | 2].call("POST", "/users/alice/messages", { data: n }),
      ),
    );
    const expected = Array.from({ length: 300 }, (_, index) => index + 1);
    expect(sent.map(({ json }) => offsetOf(json.id) ?? 0).toSorted((a, b) => a - b)).toEqual(expected);
    for (const client of clients) {
      expect((await client.take(300)).map(({ id }) => offsetOf(id))).toEqual(expected);
    }
  });

  it("tell where a user is, and disconnect the user, wherever that is", async () => {
    const [one, two, three] = (await startReplicas(3)) as Three;
    const clients = [await TestClient.welcomed(one.port, "alice"), await TestClient.welcomed(two.port, "alice")];
    const { json } = await three.call("GET", "/users/alice");
    expect(json.online).toBe(true);
    const shown = json.connections.map(({ connection }: { connection: string }) => connection);
    expect(shown.toSorted()).toEqual(clients.map(({ welcome }) => welcome["connection"]).toSorted());
    expect(new Set(json.connections.map(({ replica }: { replica: string }) => replica)).size).toBe(2);
    expect((await three.call("DELETE", "/users/alice/connections")).json).toEqual({ closed: 2 });
    for (const client of clients) expect((await client.closed).code).toBe(4403);
    expect((await one.call("GET", "/users/alice")).json).toMatchObject({ online: false, connections: [] });
  });

  it("welcome clients with the positions of all, not of one", async () => {
    const [one, two, three] = (await startReplicas(3)) as Three;
    const broadcast = await one.call("POST", "/broadcast", { data: 1 });
    const user = await two.call("POST", "/users/alice/messages", { data: 1 });
    await until(async () => {
      const { welcome } = await TestClient.welcomed(three.port, "alice");
      const positions = welcome["positions"] as Record<string, unknown>;
      return positions["broadcast"] === broadcast.json.id && positions["user"] === user.json.id;
    });
  });

  it("go on without a replica that went", async () => {
    const [one, two, three] = (await startReplicas(3)) as Three;
    const client = await TestClient.welcomed(one.port, "alice");
    await three.belfry.close();
    expect((await two.call("GET", "/stats")).json.total.replicas).toBe(2);
    expect((await two.call("POST", "/broadcast", { data: 1 })).json.receivers).toBe(1);
    expect(await client.next()).toMatchObject({ data: 1 });
  });

  it("keep epoch and offsets when all of them were away", async () => {
    const redisPrefix = uniquePrefix();
    const [one] = await startReplicas(1, { redisPrefix });
    const first = await one?.call("POST", "/users/alice/messages", { data: 1 });
    await one?.belfry.close();
    const [two] = await startReplicas(1, { redisPrefix });
    const second = await two?.call("POST", "/users/alice/messages", { data: 2 });
    expect(parseId(second?.json.id)).toEqual({ ...parseId(first?.json.id), offset: 2 });
  });

  it("count a user's connections together", async () => {
    const [one, two, three] = (await startReplicas(3, { maxConnectionsPerUser: 2 })) as [Service, Service, Service];
    await TestClient.welcomed(one.port, "alice");
    const second = await TestClient.welcomed(two.port, "alice");
    for (const { port } of [one, two, three]) {
      const over = await TestClient.open(port, "alice");
      expect((await over.closed).code).toBe(4429);
    }
    await TestClient.welcomed(three.port, "bob");
    second.ws.close();
    await second.closed;
    await until(async () => {
      const client = await TestClient.open(three.port, "alice");
      return Promise.race([client.next().then(() => true), client.closed.then(() => false)]);
    });
  });

  it("replace the oldest of a user's connections, wherever it is", async () => {
    const [one, two] = (await startReplicas(2, { maxConnectionsPerUser: 2, overLimit: "replace" })) as [
      Service,
      Service,
    ];
    const clients = [];
    for (const { port } of [one, two, two, one, one]) clients.push(await TestClient.welcomed(port, "alice"));
    for (const client of clients.slice(0, 3)) expect((await client.closed).code).toBe(4409);
    const { json } = await one.call("GET", "/users/alice");
    expect(json.connections.map(({ connection }: { connection: string }) => connection).toSorted()).toEqual(
      clients
        .slice(3)
        .map(({ welcome }) => welcome["connection"])
        .toSorted(),
    );
  });

  it("replace as many as are over the limit after more came at once than each replica could know of", async () => {
    const [one, two] = (await startReplicas(2, { maxConnectionsPerUser: 2, overLimit: "replace" })) as [
      Service,
      Service,
    ];
    const ports = Array.from({ length: 20 }, (_, index) => (index % 2 ? one : two).port);
    await Promise.all(ports.map((port) => TestClient.welcomed(port, "alice")));
    const last = await TestClient.welcomed(one.port, "alice");
    await until(async () => (await one.call("GET", "/users/alice")).json.connections.length <= 2);
    const { json } = await two.call("GET", "/users/alice");
    expect(json.connections).toContainEqual(expect.objectContaining({ connection: last.welcome["connection"] }));
  });

  it("with another prefix know nothing of each other", async () => {
    const [one] = (await startReplicas(1)) as [Service];
    const [other] = (await startReplicas(1)) as [Service];
    const client = await TestClient.welcomed(other.port, "alice");
    expect((await one.call("POST", "/users/alice/messages", { data: 1 })).json.receivers).toBe(0);
    await other.call("POST", "/broadcast", { data: "barrier" });
    expect(await client.next()).toMatchObject({ data: "barrier" });
  });
});

describe("publishing straight through Redis", () => {
  it("reaches the user on whichever replicas hold the user, live only, exactly as it was sent", async () => {
    const redisPrefix = uniquePrefix();
    const [one, two, three] = (await startReplicas(3, { redisPrefix })) as Three;
    const tabs = [await TestClient.welcomed(one.port, "alice"), await TestClient.welcomed(two.port, "alice")];
    const bob = await TestClient.welcomed(three.port, "bob");
    const redis = redisClient();
    await redis.publish(`${redisPrefix}:publish`, '{"to":{"user":"alice"},"data":{"n":1e2, "ü":-0.0},"event":"e"}');
    for (const tab of tabs) {
      const text = await tab.nextText();
      expect(JSON.parse(text)).toMatchObject({
        type: "message",
        scope: "user",
        event: "e",
        id: expect.stringMatching(/^l-/),
      });
      expect(text).toContain('"data":{"n":1e2, "ü":-0.0},"ts":');
    }
    await redis.publish(`${redisPrefix}:publish`, '{"to":"broadcast","data":2}');
    for (const client of [...tabs, bob]) expect(await client.next()).toMatchObject({ scope: "broadcast", data: 2 });
  });

  it("counts and logs what is malformed, and harms nothing", async () => {
    const redisPrefix = uniquePrefix();
    const [one] = (await startReplicas(1, { redisPrefix, maxPayloadBytes: 100 })) as [Service];
    const client = await TestClient.welcomed(one.port, "alice");
    const redis = redisClient();
    const malformed = [
      "{",
      "[]",
      '{"data":1}',
      '{"to":{"user":""},"data":1}',
      '{"to":"broadcast"}',
      `{"to":"broadcast","data":"${"private".repeat(20)}"}`,
    ];
    for (const message of malformed) await redis.publish(`${redisPrefix}:publish`, message);
    await redis.publish(`${redisPrefix}:publish`, Buffer.from([0xff, 0xfe]));
    await redis.publish(`${redisPrefix}:{u:alice}`, "nonsense");
    await redis.publish(`${redisPrefix}:{u:alice}`, "m x y\n{}");
    for (const question of ["null", '{"kind":"of a later version"}', "7"]) {
      await redis.publish(`${redisPrefix}:{b}`, `q 1 nobody\n${question}`);
    }
    await redis.publish(`${redisPrefix}:publish`, '{"to":"broadcast","data":"barrier"}');
    expect(await client.next()).toMatchObject({ data: "barrier" });
    expect(await one.metric("belfry_broker_malformed_total")).toBe(9);
    expect(one.logs.join("")).not.toContain("private");
  });
});

describe("when the connection to Redis breaks", () => {
  async function throughProxy() {
    const target = new URL(inject("redisUrl"));
    const proxy = await startProxy(Number(target.port));
    const redisPrefix = uniquePrefix();
    const [broken] = (await startReplicas(1, { redisPrefix, redisUrl: `redis://127.0.0.1:${proxy.port}` })) as [
      Service,
    ];
    const [sound] = (await startReplicas(1, { redisPrefix })) as [Service];
    return { proxy, broken, sound };
  }

  it("fills what it missed from history, in order, before anything newer", async () => {
    const { proxy, broken, sound } = await throughProxy();
    const client = await TestClient.welcomed(broken.port, "alice");
    for (let round = 0; round < 3; round++) {
      proxy.stop();
      for (let n = 0; n < 5; n++) await sound.call("POST", "/users/alice/messages", { data: `missed ${n}` });
      await sound.call("POST", "/broadcast", { data: "missed by all" });
      proxy.resume();
      await until(async () => (await broken.call("GET", "/readyz")).status === 200);
      await sound.call("POST", "/users/alice/messages", { data: "newer" });
      const frames = await client.take(7);
      const mine = frames.filter(({ scope }) => scope === "user");
      expect(mine.map(({ id }) => offsetOf(id))).toEqual([1, 2, 3, 4, 5, 6].map((n) => n + round * 6));
      expect(frames.filter(({ scope }) => scope === "broadcast").map(({ id }) => offsetOf(id))).toEqual([round + 1]);
    }
  });

  it("brings its connections to the topics that their users were subscribed to meanwhile", async () => {
    const { proxy, broken, sound } = await throughProxy();
    const client = await TestClient.welcomed(broken.port, "alice");
    await broken.call("PUT", "/users/alice/topics/before");
    expect(await client.next()).toMatchObject({ type: "subscribed", topic: "before" });
    proxy.stop();
    await until(async () => (await broken.call("GET", "/readyz")).status === 503);
    expect((await sound.call("PUT", "/users/alice/topics/news")).json.connections).toBe(0);
    proxy.resume();
    expect(await client.next()).toMatchObject({ type: "subscribed", topic: "news" });
  });

  it("keeps the connections, is not ready and says why, and comes back by itself", async () => {
    const { proxy, broken, sound } = await throughProxy();
    const client = await TestClient.welcomed(broken.port, "alice");
    proxy.stop();
    await until(async () => (await broken.metric("belfry_broker_up")) === 0);
    const ready = await broken.call("GET", "/readyz");
    expect([ready.status, ready.json.detail]).toEqual([503, expect.stringContaining("Redis")]);
    expect((await broken.call("POST", "/broadcast", { data: 1 })).status).toBe(503);
    expect((await broken.call("GET", "/healthz")).status).toBe(200);
    proxy.resume();
    await until(async () => (await broken.call("GET", "/readyz")).status === 200);
    expect((await broken.call("POST", "/broadcast", { data: 2 })).status).toBe(202);
    expect(await client.next()).toMatchObject({ data: 2 });
    expect((await sound.call("GET", "/users/alice")).json.online).toBe(true);
  });

  it("answers a publish within 3 s when Redis hangs, and does not publish it later", async () => {
    const { proxy, broken, sound } = await throughProxy();
    const client = await TestClient.welcomed(sound.port, "alice");
    proxy.hold();
    const start = Date.now();
    const answers = await Promise.all([1, 2].map((data) => broken.call("POST", "/broadcast", { data })));
    expect(answers.map(({ status }) => status)).toEqual([503, 503]);
    expect(Date.now() - start).toBeLessThan(3000);
    expect((await broken.call("GET", "/readyz")).status).toBe(503);
    // Cut before it is let go: what was written into the hanging connection must not arrive after all.
    proxy.cut();
    proxy.resume();
    await until(async () => (await broken.call("GET", "/readyz")).status === 200);
    await sound.call("POST", "/broadcast", { data: "barrier" });
    expect(await client.next()).toMatchObject({ data: "barrier" });
  });

  it("is not ready with a database that Redis does not have", async () => {
    const redisUrl = `${inject("redisUrl").replace(/\/$/, "")}/9999`;
    const service = await startService({ redisUrl, redisPrefix: uniquePrefix() });
    await until(() => service.logs.join("").includes("DB index"));
    expect((await service.call("GET", "/readyz")).status).toBe(503);
    expect((await service.call("POST", "/broadcast", { data: 1 })).status).toBe(503);
  });

  it("says so when Redis refuses", async () => {
    const redisPrefix = uniquePrefix();
    const [one] = (await startReplicas(1, { redisPrefix })) as [Service];
    await redisClient().set(`${redisPrefix}:{b}:meta`, "not a hash");
    const { status, json } = await one.call("POST", "/broadcast", { data: 1 });
    expect([status, json.detail]).toEqual([503, "Redis refused the operation (WRONGTYPE)"]);
  });

  it("notices a subscriber connection that went deaf in silence, and catches up", async () => {
    const { proxy, broken, sound } = await throughProxy();
    const client = await TestClient.welcomed(broken.port, "alice");
    // Only the subscriber's: what the commands say gets through, and what Redis pushes does not.
    proxy.holdOne((sent) => /\r\nsubscribe\r\n/i.test(sent));
    await sound.call("POST", "/users/alice/messages", { data: "missed" });
    const start = Date.now();
    expect(await client.next(12_000)).toMatchObject({ data: "missed" });
    expect(Date.now() - start).toBeLessThan(10_000);
    expect(broken.logs.join("")).toContain("bring nothing any more");
  });

  it("closes with 4410 the connections whose messages it cannot get any more", async () => {
    const target = new URL(inject("redisUrl"));
    const proxy = await startProxy(Number(target.port));
    const redisPrefix = uniquePrefix();
    const options = { redisPrefix, historySize: 2 };
    const [short] = (await startReplicas(1, { ...options, redisUrl: `redis://127.0.0.1:${proxy.port}` })) as [Service];
    const [other] = (await startReplicas(1, { ...options, redisUrl: target.href })) as [Service];
    const client = await TestClient.welcomed(short.port, "alice");
    const bob = await TestClient.welcomed(short.port, "bob");
    proxy.stop();
    for (let n = 0; n < 5; n++) await other.call("POST", "/users/alice/messages", { data: n });
    proxy.resume();
    expect((await client.closed).code).toBe(4410);
    await other.call("POST", "/users/bob/messages", { data: 1 });
    expect(await bob.next()).toMatchObject({ data: 1 });
  });
});
