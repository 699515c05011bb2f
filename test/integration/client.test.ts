import { describe, expect, it, onTestFinished } from "vitest";
import { BelfryClient, type BelfryClientOptions, type Message, type StateChange } from "../../src/client/index.ts";
import { type Service, startReplicas, startService, until } from "../support/service.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { nowSeconds, secret, sign } from "../support/tokens.ts";

/** A client that writes down what it is told, and ends with the test. */
function connect(port: number, options: BelfryClientOptions = {}) {
  const messages: Message[] = [];
  const changes: StateChange[] = [];
  const client = new BelfryClient(`http://127.0.0.1:${port}`, {
    onMessage: (message) => void messages.push(message),
    onState: (change) => void changes.push(change),
    ...options,
  });
  onTestFinished(() => client.close());
  const connected = () => until(() => client.state === "connected");
  return { client, messages, changes, connected };
}

const publish = async ({ call }: Service, path: string, data: unknown): Promise<string> =>
  (await call("POST", path, { data })).json.id;

describe.each([{ transports: ["ws" as const] }, { transports: ["sse" as const] }])(
  "the client by $transports",
  (by) => {
    it("connects and hands over messages, with what their publisher said", async () => {
      const service = await startService();
      const { messages, connected, changes } = connect(service.port, { ...by, user: "zoë@example.com" });
      await connected();
      await service.call("POST", `/users/${encodeURIComponent("zoë@example.com")}/messages`, { data: [1], event: "e" });
      await until(() => messages.length === 1);
      expect(messages[0]).toEqual({
        id: expect.any(String),
        scope: "user",
        event: "e",
        data: [1],
        ts: expect.any(Number),
      });
      expect(changes.map(({ state }) => state)).toEqual(["connecting", "connected"]);
    });

    it("comes back after the connection broke, and is given what it missed, once and in order", async () => {
      const service = await startService();
      const proxy = await startProxy(service.port);
      const { client, messages, connected } = connect(proxy.port, { ...by, user: "alice" });
      const subscription = client.subscribe("news");
      await connected();
      await subscription.ready;
      const ids: Record<string, string[]> = { broadcast: [], user: [], topic: [] };
      for (let round = 0; round < 5; round++) {
        ids["broadcast"]?.push(await publish(service, "/broadcast", round));
        ids["user"]?.push(await publish(service, "/users/alice/messages", round));
        proxy.cut();
        ids["topic"]?.push(await publish(service, "/topics/news/messages", round));
        ids["user"]?.push(await publish(service, "/users/alice/messages", round));
        await until(() => client.state !== "connected");
        client.reconnect();
        await connected();
      }
      await until(() => messages.length === 20);
      for (const [scope, expected] of Object.entries(ids)) {
        expect(messages.filter((message) => message.scope === scope).map(({ id }) => id)).toEqual(expected);
      }
    });

    it("subscribes to topics, iterates over them, and leaves them", async () => {
      const service = await startService();
      const { client, connected } = connect(service.port, { ...by, user: "alice" });
      await connected();
      const seen: unknown[] = [];
      const reading = (async () => {
        for await (const { data } of client.messages("news")) {
          seen.push(data);
          if (data === "last") break;
        }
      })();
      await until(async () => (await service.call("GET", "/topics/news")).json.subscribers === 1);
      for (const data of [1, 2, "last", 3]) await publish(service, "/topics/news/messages", data);
      await reading;
      expect(seen).toEqual([1, 2, "last"]);
      await until(async () => (await service.call("GET", "/topics/news")).json.subscribers === 0);
    });

    it("acks, and answers requests", async () => {
      const service = await startService();
      const { client, connected } = connect(service.port, { ...by, user: "alice" });
      client.on("message", (message) => client.ack(message));
      client.on("request", ({ event, data, reply }) => reply({ event, data }));
      await connected();
      const acked = await service.call("POST", "/users/alice/messages?wait=ack&timeout=4000", { data: 1 });
      expect(acked.json).toMatchObject({ complete: true, acks: [{ user: "alice" }] });
      const { json } = await service.call("POST", "/users/alice/requests", { data: { n: 1 }, event: "ask" });
      expect(json.data).toEqual({ event: "ask", data: { n: 1 } });
    });

    it("does not come back when it is told not to", async () => {
      const service = await startService();
      const { client, changes, connected } = connect(service.port, { ...by, user: "alice" });
      await connected();
      await service.call("DELETE", "/users/alice/connections");
      await until(() => client.state === "closed");
      expect(changes.at(-1)).toMatchObject({ state: "closed", code: 4403 });
    });

    it("asks for a new token when the one that it has is refused or revoked", async () => {
      const service = await startService({ authMode: "jwt", jwtSecret: secret });
      let asked = 0;
      const getToken = () =>
        sign({ sub: "alice", iat: nowSeconds() + asked * 10, exp: nowSeconds() + (asked++ === 0 ? -60 : 60) });
      const { connected, changes } = connect(service.port, { ...by, getToken });
      await connected();
      expect(asked).toBe(2);
      expect(changes).toContainEqual(expect.objectContaining({ state: "waiting", code: 4401 }));
      await service.call("POST", "/revocations", { user: "alice", before: nowSeconds() + 11 });
      await until(() => asked > 2);
      await connected();
    });

    it("ends with 4401 when it has no way to get another token", async () => {
      const service = await startService({ authMode: "jwt", jwtSecret: secret });
      const { client, changes } = connect(service.port, { ...by, token: "no token" });
      await until(() => client.state === "closed");
      expect(changes.at(-1)).toMatchObject({ state: "closed", code: 4401 });
    });
  },
);

describe("the client", () => {
  it("renews its token in time, on the connection that it has", async () => {
    const service = await startService({ authMode: "jwt", jwtSecret: secret });
    let asked = 0;
    const { connected, client, changes } = connect(service.port, {
      getToken: () => sign({ sub: "alice", jti: String(++asked), exp: nowSeconds() + 2 }),
    });
    await connected();
    await until(() => asked >= 3, 10_000);
    expect(client.state).toBe("connected");
    expect(changes.map(({ state }) => state)).toEqual(["connecting", "connected"]);
  });

  it("falls back to Server-Sent Events where WebSocket is blocked, and resumes there", async () => {
    const service = await startService();
    const proxy = await startProxy(service.port);
    const { client, messages, connected } = connect(proxy.port, { user: "alice" });
    await connected();
    await publish(service, "/users/alice/messages", 1);
    await until(() => messages.length === 1);
    proxy.block = /^GET \/ws/;
    proxy.cut();
    await until(() => client.state !== "connected");
    await publish(service, "/users/alice/messages", 2);
    await until(() => messages.length === 2, 20_000);
    expect(await service.metric('belfry_connections{transport="sse"}')).toBe(1);
  });

  it("spreads its return over the window of a replica that drains, and resumes on another", async () => {
    const [one, two] = (await startReplicas(2)) as [Service, Service];
    const proxy = await startProxy(one.port);
    const { messages, changes, connected } = connect(proxy.port, { user: "alice" });
    await connected();
    proxy.target = two.port;
    await one.belfry.close(300);
    await publish(two, "/users/alice/messages", 1);
    await until(() => messages.length === 1);
    const waiting = changes.find(({ state }) => state === "waiting");
    expect(waiting).toMatchObject({ code: 1001, reason: "300" });
    expect(waiting?.retryInMs).toBeLessThanOrEqual(1000);
  });

  it("keeps its positions in a storage, from one page to the next", async () => {
    const service = await startService();
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
    };
    const first = connect(service.port, { user: "alice", storage });
    await first.connected();
    await publish(service, "/users/alice/messages", 1);
    await until(() => first.messages.length === 1);
    first.client.close();
    await publish(service, "/users/alice/messages", 2);
    const second = connect(service.port, { user: "alice", storage });
    await until(() => second.messages.length === 1);
    expect(second.messages[0]?.data).toBe(2);
  });

  it("says when messages may be missing", async () => {
    const service = await startService({ historySize: 1 });
    const proxy = await startProxy(service.port);
    const { client, connected } = connect(proxy.port, { user: "alice" });
    const gaps: string[] = [];
    client.on("gap", (stream) => void gaps.push(stream));
    await connected();
    proxy.cut();
    for (let n = 0; n < 3; n++) await publish(service, "/users/alice/messages", n);
    await until(() => client.state !== "connected");
    await connected();
    await until(() => gaps.length > 0);
    expect(gaps).toEqual(["user"]);
  });

  it("tells of a topic that it may not subscribe to", async () => {
    const service = await startService({ authMode: "jwt", jwtSecret: secret });
    const token = await sign({ sub: "alice", exp: nowSeconds() + 60 });
    const { client } = connect(service.port, { token });
    const errors: unknown[] = [];
    client.on("error", (error) => void errors.push(error));
    await expect(client.subscribe("secret").ready).rejects.toMatchObject({ code: "forbidden" });
    expect(errors).toHaveLength(1);
  });

  it("notices that nobody is there any more, and comes back", async () => {
    const service = await startService({ pingIntervalMs: 200 });
    const proxy = await startProxy(service.port);
    const { client, changes, connected } = connect(proxy.port, { user: "alice" });
    await connected();
    proxy.hold();
    await until(() => changes.some(({ reason }) => reason === "silence"), 14_000);
    proxy.cut();
    proxy.resume();
    client.reconnect();
    await connected();
  });

  it.each(["ftp://example.com", "nonsense"])("refuses the address %s", (url) => {
    expect(() => new BelfryClient(url)).toThrow(TypeError);
  });
});
