import { describe, expect, it } from "vitest";
import { parseId } from "../../src/protocol/positions.ts";
import { expectNothingMore, startService, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { nowSeconds, secret, sign } from "../support/tokens.ts";
import { worlds } from "../support/worlds.ts";

/** Subscribes and takes the answer. */
async function subscribe(client: TestClient, topic: string, since?: string) {
  client.send({ type: "subscribe", topic, ref: topic, ...(since !== undefined && { since }) });
  return client.next();
}

describe.each(worlds)("topics, $name", ({ start }) => {
  it("reach their subscribers wherever they are, each once, and nobody else", async () => {
    const [one, two, three] = await start();
    const clients = await Promise.all([one, two, three].map(({ port }) => TestClient.welcomed(port, "alice")));
    const other = await TestClient.welcomed(two.port, "bob");
    for (const client of clients) {
      expect(await subscribe(client, "news")).toMatchObject({ type: "subscribed", topic: "news", ref: "news" });
    }
    const { status, json } = await one.call("POST", "/topics/news/messages", { data: [1], event: "e" });
    expect(status).toBe(202);
    expect(json.receivers).toBe(3);
    for (const client of clients) {
      const message = await client.next();
      expect(message).toMatchObject({
        type: "message",
        id: json.id,
        scope: "topic",
        topic: "news",
        event: "e",
        data: [1],
      });
    }
    await expectNothingMore(other, three);
  });

  it("are left by unsubscribing, which is answered, also when there was nothing to leave", async () => {
    const [one] = await start();
    const client = await TestClient.welcomed(one.port, "alice");
    await subscribe(client, "news");
    client.send({ type: "unsubscribe", topic: "news", ref: 2 });
    expect(await client.next()).toEqual({ type: "unsubscribed", topic: "news", ref: 2 });
    expect((await one.call("POST", "/topics/news/messages", { data: 1 })).json.receivers).toBe(0);
    client.send({ type: "unsubscribe", topic: "never", ref: 3 });
    expect(await client.next()).toEqual({ type: "unsubscribed", topic: "never", ref: 3 });
    await expectNothingMore(client, one);
  });

  it("are resumed from an id, with everything behind it once and in order, and then what is live", async () => {
    const [one, two, three] = await start();
    const first = await TestClient.welcomed(one.port, "alice");
    const { position } = await subscribe(first, "news");
    const ids: string[] = [];
    for (let n = 0; n < 250; n++) ids.push((await three.call("POST", "/topics/news/messages", { data: n })).json.id);
    const taken = (await first.take(10)).map(({ id }) => id);
    expect(taken).toEqual(ids.slice(0, 10));
    const second = await TestClient.welcomed(two.port, "alice");
    expect(await subscribe(second, "news", ids[9])).toMatchObject({ position: ids[9], recovered: true });
    ids.push((await one.call("POST", "/topics/news/messages", { data: "live" })).json.id);
    expect((await second.take(241)).map(({ id }) => id)).toEqual(ids.slice(10));
    const third = await TestClient.welcomed(three.port, "bob");
    expect(await subscribe(third, "news", String(position))).toMatchObject({ recovered: true });
    expect((await third.take(251)).map(({ id }) => id)).toEqual(ids);
  });

  it("say where they begin when nothing is resumed, and that a position is of another epoch", async () => {
    const [one, two] = await start({ historySize: 2 });
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.push((await one.call("POST", "/topics/news/messages", { data: n })).json.id);
    const client = await TestClient.welcomed(two.port, "alice");
    expect(await subscribe(client, "news")).toEqual({
      type: "subscribed",
      topic: "news",
      position: ids[2],
      ref: "news",
    });
    expect(parseId(String((await subscribe(client, "quiet"))["position"]))?.offset).toBe(0);
    const late = await TestClient.welcomed(two.port, "bob");
    expect(await subscribe(late, "news", "t-other-1")).toMatchObject({ recovered: false });
    expect((await late.take(2)).map(({ id }) => id)).toEqual(ids.slice(1));
    const all = await TestClient.welcomed(two.port, "carol");
    expect(await subscribe(all, "news", "earliest")).toMatchObject({ recovered: false });
    expect((await all.take(2)).map(({ id }) => id)).toEqual(ids.slice(1));
  });

  it("hand a message once to a connection that has subscribed twice, and answer both times", async () => {
    const [one] = await start();
    const client = await TestClient.welcomed(one.port, "alice");
    await subscribe(client, "news");
    const { json } = await one.call("POST", "/topics/news/messages", { data: 1 });
    expect(await client.next()).toMatchObject({ id: json.id });
    expect(await subscribe(client, "news", "earliest")).toEqual({
      type: "subscribed",
      topic: "news",
      position: json.id,
      ref: "news",
    });
    await one.call("POST", "/topics/news/messages", { data: 2 });
    expect(await client.next()).toMatchObject({ data: 2 });
  });

  it("follow the order of frames, however fast they come", async () => {
    const [one] = await start({ maxClientFramesPerSecond: 1000 });
    const client = await TestClient.welcomed(one.port, "alice");
    for (let n = 0; n < 5; n++) {
      client.send({ type: "subscribe", topic: "news", since: "earliest" });
      client.send({ type: "unsubscribe", topic: "news" });
    }
    client.send({ type: "subscribe", topic: "news" });
    const types = (await client.take(11)).map(({ type }) => type);
    expect(types).toEqual([...Array.from({ length: 5 }, () => ["subscribed", "unsubscribed"]).flat(), "subscribed"]);
    expect((await one.call("POST", "/topics/news/messages", { data: 1 })).json.receivers).toBe(1);
    expect(await client.next()).toMatchObject({ data: 1 });
  });

  it("let go of what they held when their subscribers are gone", async () => {
    const [one, two] = await start();
    const client = await TestClient.welcomed(one.port, "alice");
    await subscribe(client, "news");
    expect(await one.metric("belfry_subscriptions")).toBe(1);
    expect((await two.call("GET", "/stats")).json.total.topics).toBe(1);
    client.ws.terminate();
    await until(async () => (await one.metric("belfry_subscriptions")) === 0);
    expect((await two.call("GET", "/stats")).json.total.topics).toBe(0);
    expect((await two.call("POST", "/topics/news/messages", { data: 1 })).json.receivers).toBe(0);
  });

  it("say who is subscribed, over all replicas, anonymous ones by number only", async () => {
    const [one, two, three] = await start({ allowAnonymous: true, publicTopics: ["news"] });
    const connecting = [
      TestClient.welcomed(one.port, "bob"),
      TestClient.welcomed(one.port, "alice"),
      TestClient.welcomed(two.port, "alice"),
      TestClient.welcomed(three.port),
    ];
    for (const client of await Promise.all(connecting)) await subscribe(client, "news");
    const expected = { topic: "news", subscribers: 4, users: ["alice", "bob"] };
    expect((await three.call("GET", "/topics/news")).json).toEqual(expected);
    expect((await three.call("GET", "/topics/other")).json).toEqual({ topic: "other", subscribers: 0, users: [] });
  });

  it("tell of many users at once which are online", async () => {
    const [one, two, three] = await start();
    await TestClient.welcomed(one.port, "alice");
    await TestClient.welcomed(two.port, "alice");
    await TestClient.welcomed(three.port, "__proto__");
    const { status, json } = await two.call("POST", "/presence", { users: ["bob", "alice", "__proto__"] });
    expect(status).toBe(200);
    expect(json.users).toEqual([
      { user: "bob", online: false, connections: 0 },
      { user: "alice", online: true, connections: 2 },
      { user: "__proto__", online: true, connections: 1 },
    ]);
    for (const body of [{}, { users: [] }, { users: [""] }, { users: Array.from({ length: 1001 }, () => "x") }]) {
      expect((await two.call("POST", "/presence", body)).status).toBe(422);
    }
  });

  it("are those of a user by the service's wish, on every connection, now and later", async () => {
    const [one, two, three] = await start();
    const early = await TestClient.welcomed(one.port, "alice");
    const { status, json } = await two.call("PUT", "/users/alice/topics/orders%2F7");
    expect(status).toBe(200);
    expect(json).toEqual({ user: "alice", topic: "orders/7", connections: 1 });
    expect(await early.next()).toMatchObject({ type: "subscribed", topic: "orders/7" });
    const late = await TestClient.welcomed(three.port, "alice");
    expect(await late.next()).toMatchObject({ type: "subscribed", topic: "orders/7" });
    await TestClient.welcomed(three.port, "bob");
    expect((await one.call("GET", "/users/alice/topics")).json).toEqual({ user: "alice", topics: ["orders/7"] });
    expect((await one.call("POST", "/topics/orders%2F7/messages", { data: 1 })).status).toBe(202);
    for (const client of [early, late]) expect(await client.next()).toMatchObject({ data: 1, topic: "orders/7" });
    early.send({ type: "unsubscribe", topic: "orders/7", ref: 1 });
    expect(await early.next()).toMatchObject({ type: "error", code: "forbidden", ref: 1 });
    expect((await one.call("DELETE", "/users/alice/topics/orders%2F7")).json.connections).toBe(2);
    for (const client of [early, late]) {
      expect(await client.next()).toEqual({ type: "unsubscribed", topic: "orders/7" });
    }
    expect((await two.call("GET", "/topics/orders%2F7")).json.subscribers).toBe(0);
  });

  it("that are those of a user are resumed by the positions in the handshake", async () => {
    const [one, two, three] = await start();
    await one.call("PUT", "/users/alice/topics/a");
    await one.call("PUT", "/users/alice/topics/b");
    const client = await TestClient.welcomed(one.port, "alice");
    const positions = new Map((await client.take(2)).map(({ topic, position }) => [topic, position]));
    client.ws.terminate();
    const ids: Record<string, string[]> = { a: [], b: [] };
    for (const topic of ["a", "b", "a"]) {
      ids[topic]?.push((await two.call("POST", `/topics/${topic}/messages`, { data: topic })).json.id);
    }
    const path = `/ws?since=${positions.get("b")}&since=${positions.get("a")}`;
    const again = await TestClient.welcomed(three.port, "alice", { path });
    const frames = await again.take(5);
    for (const topic of ["a", "b"]) {
      const seen = frames.filter((frame) => frame["topic"] === topic);
      expect(seen[0]).toMatchObject({ type: "subscribed", position: positions.get(topic), recovered: true });
      expect(seen.slice(1).map(({ id }) => id)).toEqual(ids[topic]);
    }
  });

  it("of a user stay when the connection asks for them too, and the other way round", async () => {
    const [one] = await start();
    const client = await TestClient.welcomed(one.port, "alice");
    await subscribe(client, "news");
    await one.call("PUT", "/users/alice/topics/news");
    await one.call("DELETE", "/users/alice/topics/news");
    expect((await one.call("POST", "/topics/news/messages", { data: 1 })).json.receivers).toBe(1);
    expect(await client.next()).toMatchObject({ data: 1 });
  });
});

describe("topics", () => {
  it("may be subscribed to by the names and patterns in the token, and by nothing else", async () => {
    const { port } = await startService({ authMode: "jwt", jwtSecret: secret, publicTopics: ["open.*"] });
    const token = await sign({ sub: "alice", exp: nowSeconds() + 60, topics: ["news", "orders.*"] });
    const client = await TestClient.welcomed(port, ["belfry.v1", token]);
    for (const topic of ["news", "orders.7", "orders.7.items", "orders.", "open.house"]) {
      expect(await subscribe(client, topic)).toMatchObject({ type: "subscribed", topic });
    }
    for (const topic of ["new", "news.7", "orders", "order.7", "open", "*", "orders*"]) {
      expect(await subscribe(client, topic)).toMatchObject({ type: "error", code: "forbidden", ref: topic });
    }
  });

  it("that only the token allowed end with a newer token that does not name them", async () => {
    const { port } = await startService({ authMode: "jwt", jwtSecret: secret, publicTopics: ["open"] });
    const claims = { sub: "alice", exp: nowSeconds() + 60 };
    const client = await TestClient.welcomed(port, ["belfry.v1", await sign({ ...claims, topics: ["a", "b"] })]);
    for (const topic of ["a", "b", "open"]) await subscribe(client, topic);
    client.send({ type: "auth", token: await sign({ ...claims, topics: ["b"] }) });
    expect(await client.next()).toEqual({ type: "unsubscribed", topic: "a" });
    expect(await subscribe(client, "a")).toMatchObject({ code: "forbidden" });
    expect(await subscribe(client, "c")).toMatchObject({ code: "forbidden" });
  });

  it("are allowed by a newer token from the frame behind it on, which need not wait since nothing says that it was taken", async () => {
    const { port } = await startService({ authMode: "jwt", jwtSecret: secret });
    const claims = { sub: "alice", exp: nowSeconds() + 60 };
    const client = await TestClient.welcomed(port, ["belfry.v1", await sign({ ...claims, topics: ["a"] })]);
    const newer = await sign({ ...claims, topics: ["b"] });
    client.send({ type: "auth", token: newer });
    client.send({ type: "subscribe", topic: "b", ref: 1 });
    client.send({ type: "subscribe", topic: "a", ref: 2 });
    const answers = await client.take(2);
    expect(answers).toContainEqual(expect.objectContaining({ type: "subscribed", topic: "b", ref: 1 }));
    expect(answers).toContainEqual(expect.objectContaining({ type: "error", code: "forbidden", ref: 2 }));
  });

  it("that are public are all that anonymous clients may subscribe to", async () => {
    const { port } = await startService({ allowAnonymous: true, publicTopics: ["open"] });
    const client = await TestClient.welcomed(port);
    expect(await subscribe(client, "open")).toMatchObject({ type: "subscribed" });
    expect(await subscribe(client, "news")).toMatchObject({ type: "error", code: "forbidden" });
  });

  it("are bounded for a connection, and for a user", async () => {
    const { port, call } = await startService({ maxSubscriptions: 2 });
    const client = await TestClient.welcomed(port, "alice");
    await subscribe(client, "a");
    await subscribe(client, "b");
    expect(await subscribe(client, "c")).toMatchObject({ type: "error", code: "too_many" });
    expect(await subscribe(client, "b")).toMatchObject({ type: "subscribed" });
    client.send({ type: "unsubscribe", topic: "a" });
    await client.next();
    expect(await subscribe(client, "c")).toMatchObject({ type: "subscribed" });
    for (const topic of ["x", "y"]) expect((await call("PUT", `/users/alice/topics/${topic}`)).status).toBe(200);
    expect((await call("PUT", "/users/alice/topics/z")).status).toBe(422);
    expect((await call("PUT", "/users/alice/topics/x")).status).toBe(200);
    expect((await client.take(2)).map(({ topic }) => topic)).toEqual(["x", "y"]);
  });

  it.each(["b-e1-1", "l-e1-1", "nothing", "t-e1"])(
    "refuse since %s in a frame, and the connection lives",
    async (since) => {
      const { port } = await startService();
      const client = await TestClient.welcomed(port, "alice");
      expect(await subscribe(client, "news", since)).toMatchObject({ type: "error", code: "malformed", ref: "news" });
      expect(await subscribe(client, "news")).toMatchObject({ type: "subscribed" });
    },
  );
});
