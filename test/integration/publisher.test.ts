import { describe, expect, it } from "vitest";
import { encodeFlag } from "../../src/protocol/user-ids.ts";
import { BelfryPublishError, BelfryPublisher, type PublisherOptions } from "../../src/publisher/index.ts";
import { hush } from "../support/secrets.ts";
import { startService } from "../support/service.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { TestClient } from "../support/test-client.ts";

const publisherAt = (port: number, options?: PublisherOptions) =>
  new BelfryPublisher(`http://127.0.0.1:${port}/`, options);

/** What a call is rejected with. */
async function failure(call: Promise<unknown>): Promise<BelfryPublishError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(BelfryPublishError);
  return error as BelfryPublishError;
}

describe("the publisher client", () => {
  it("sends to everyone, to a user, to a topic, and many at once", async () => {
    const { port } = await startService();
    const client = await TestClient.welcomed(port, encodeFlag("a/b"));
    client.send({ type: "subscribe", topic: "x y" });
    await client.next();
    const publisher = publisherAt(port);
    const receipts = [
      await publisher.broadcast(1, { event: "e" }),
      await publisher.toUser("a/b", { n: 2 }, { ttl: 60 }),
      await publisher.toTopic("x y", 3, { collapse: "c" }),
    ];
    const results = await publisher.batch([
      { to: { user: "a/b" }, data: 4 },
      { to: { user: "" }, data: 5 },
    ]);
    expect(results).toEqual([
      { id: expect.any(String), receivers: 1 },
      { error: expect.objectContaining({ status: 422 }) },
    ]);
    const frames = await client.take(4);
    expect(frames.map(({ data }) => data)).toEqual([1, { n: 2 }, 3, 4]);
    expect(frames.slice(0, 3).map(({ id }) => id)).toEqual(receipts.map(({ id }) => id));
  });

  it("asks a user", async () => {
    const { port } = await startService();
    const publisher = publisherAt(port);
    expect(await failure(publisher.request("alice", 1))).toMatchObject({ code: "not_found", status: 404 });
    const client = await TestClient.welcomed(port, "alice");
    expect(await failure(publisher.request("alice", 1, { timeoutMs: 50 }))).toMatchObject({
      code: "no_reply",
      status: 504,
    });
    await client.next();
    const asking = publisher.request("alice", [1], { event: "e" });
    const { id, event, data } = await client.next();
    client.send({ type: "reply", id, data: { event, data } });
    expect(await asking).toEqual({ data: { event: "e", data: [1] }, connection: client.welcome["connection"] });
  });

  it("repeats what was lost on the way, and it is there once", async () => {
    const { port, call } = await startService();
    const proxy = await startProxy(port);
    const publisher = publisherAt(proxy.port, { maxAttempts: 20, timeoutMs: 500 });
    let isOver = false;
    const publishing = Promise.all(Array.from({ length: 50 }, (_, n) => publisher.toUser("alice", n))).finally(() => {
      isOver = true;
    });
    for (let n = 0; n < 10 && !isOver; n++) {
      proxy.cut();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const receipts = await publishing;
    expect(new Set(receipts.map(({ id }) => id)).size).toBe(50);
    const { json } = await call("GET", "/users/alice/messages?limit=1000");
    expect(json.last).toBe(50);
  });

  it("waits as long as a limit asks for", async () => {
    const secret = hush("publisher-key");
    const { port } = await startService({
      apiKeys: [{ name: "k", secret, rights: ["publish"] }],
      maxPublishesPerSecond: 2,
    });
    const publisher = publisherAt(port, { apiKey: secret });
    const receipts = await Promise.all(Array.from({ length: 4 }, (_, n) => publisher.broadcast(n)));
    expect(receipts).toHaveLength(4);
  });

  it("says what is wrong, and does not repeat it", async () => {
    const { port, metric } = await startService();
    const error = await failure(publisherAt(port).toUser("alice", 1, { ttl: -1 }));
    expect(error).toMatchObject({
      code: "invalid",
      status: 422,
      errors: [{ path: "ttl", message: expect.any(String) }],
    });
    expect(await metric('belfry_publishes_total{scope="user",result="accepted"}')).toBe(0);
  });

  it("gives up on a service that cannot be reached, and when it is told to", async () => {
    const { port } = await startService();
    const proxy = await startProxy(port);
    proxy.stop();
    expect(await failure(publisherAt(proxy.port, { maxAttempts: 2 }).broadcast(1))).toMatchObject({
      code: "unreachable",
    });
    const abort = new AbortController();
    const call = publisherAt(proxy.port, { maxAttempts: 1000 }).broadcast(1, { signal: abort.signal });
    setTimeout(() => abort.abort(), 100);
    expect(await failure(call)).toMatchObject({ code: "unreachable" });
  });
});
