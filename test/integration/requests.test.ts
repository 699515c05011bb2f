import { request as httpRequest } from "node:http";
import { describe, expect, inject, it } from "vitest";
import type { BelfryOptions } from "../../src/index.ts";
import { startProcess } from "../support/process.ts";
import {
  expectNothingMore,
  type Service,
  startReplicas,
  startService,
  uniquePrefix,
  until,
} from "../support/service.ts";
import { type Frame, TestClient } from "../support/test-client.ts";
import { portOf, worlds } from "../support/worlds.ts";

const waitingIn = (services: readonly Service[]) =>
  services
    .map(({ belfry }) => belfry.hub.requests.waiting)
    .flatMap(({ requests, connections }) => [requests, connections]);

/** Nothing of any request is left anywhere. */
async function expectNothingLeft(services: readonly Service[]): Promise<void> {
  await until(() => waitingIn(services).every((count) => count === 0));
}

/** Replies to every request from now on. */
function replyAlways(client: TestClient, json: (frame: Frame) => string): void {
  client.ws.on("message", (text) => {
    const frame = JSON.parse(String(text)) as Frame;
    if (frame.type === "request") client.send(`{"type":"reply","id":"${frame["id"]}","data":${json(frame)}}`);
  });
}

describe.each(worlds)("a request, $name", ({ start }) => {
  it("is put to every connection of the user, and answered with the first reply", async () => {
    const services = await start();
    const [{ call }] = services;
    const tabs = [1, 2].map((index) => TestClient.welcomed(portOf(services, index), "alice"));
    const [one, two] = (await Promise.all(tabs)) as [Awaited<(typeof tabs)[0]>, TestClient];
    const bob = await TestClient.welcomed(portOf(services, 1), "bob");
    const answer = call("POST", "/users/alice/requests", { data: { n: 1 }, event: "confirm" });
    const [asked, alsoAsked] = [await one.next(), await two.next()];
    expect(asked).toEqual({ type: "request", id: expect.any(String), event: "confirm", data: { n: 1 } });
    expect(alsoAsked).toEqual(asked);
    one.send({ type: "reply", id: asked["id"], data: "yes" });
    expect(await answer).toMatchObject({ status: 200, json: { data: "yes", connection: one.welcome["connection"] } });
    // By now the other one's reply has nobody to go to.
    await expectNothingLeft(services);
    two.send({ type: "reply", id: asked["id"], data: "no", ref: 5 });
    expect(await two.next()).toMatchObject({ type: "error", code: "not_found", ref: 5 });
    one.send({ type: "reply", id: asked["id"], data: "yes" });
    expect(await one.next()).toMatchObject({ type: "error", code: "not_found" });
    await expectNothingMore(bob, { call });
  });

  it("carries data both ways exactly as it was written", async () => {
    const services = await start();
    const [{ call }] = services;
    const client = await TestClient.welcomed(portOf(services, 1), "alice");
    const data = '{"z":-0.0, "a":12345678901234567890,"ü\\u0000":[1e400]}';
    const answer = call("POST", "/users/alice/requests", `{"timeout":5000,"data":${data}}`);
    const asked = await client.nextText();
    expect(asked).toMatch(/^\{"type":"request","id":"[^"]+","data":/);
    expect(asked.endsWith(`"data":${data}}`)).toBe(true);
    const back = '{"z":1.00,"a" : 0.1e-7}';
    client.send(`{"data":${back},"type":"reply","id":"${JSON.parse(asked).id}"}`);
    const connection = client.welcome["connection"];
    expect(await answer).toMatchObject({ status: 200, text: `{"data":${back},"connection":"${connection}"}` });
  });

  it("is 404 when the user is not connected, and 504 when nobody replies in time", async () => {
    const services = await start();
    const [{ call, metric }] = services;
    const nobody = await call("POST", "/users/alice/requests", { data: 1 });
    expect([nobody.status, nobody.json.type]).toEqual([404, "urn:belfry:error:not_found"]);
    const client = await TestClient.welcomed(portOf(services, 1), "alice");
    const late = await call("POST", "/users/alice/requests", { data: 1, timeout: 100 });
    expect([late.status, late.json.type, late.json.detail]).toEqual([
      504,
      "urn:belfry:error:no_reply",
      "nobody replied within 100 ms",
    ]);
    await expectNothingLeft(services);
    client.send({ type: "reply", id: (await client.next())["id"], data: 1 });
    expect(await client.next()).toMatchObject({ type: "error", code: "not_found" });
    const results = ["answered", "offline", "timeout"].map((one) => metric(`belfry_requests_total{result="${one}"}`));
    expect(await Promise.all(results)).toEqual([0, 1, 1]);
  });

  it("is 504 at once when all who were asked have gone", async () => {
    const services = await start();
    const [{ call }] = services;
    const tabs = await Promise.all([1, 2].map((index) => TestClient.welcomed(portOf(services, index), "alice")));
    const answer = call("POST", "/users/alice/requests", { data: 1, timeout: 60_000 });
    for (const tab of tabs) expect(await tab.next()).toMatchObject({ type: "request" });
    tabs[0]?.ws.close();
    tabs[1]?.ws.terminate();
    const { status, json } = await answer;
    expect([status, json.detail]).toEqual([504, "every connection that was asked has gone"]);
    await expectNothingLeft(services);
  });

  it("is answered by a connection of the user that was asked, and by no other", async () => {
    const services = await start();
    const [{ call }] = services;
    const alice = await TestClient.welcomed(portOf(services, 1), "alice");
    const mallory = await TestClient.welcomed(portOf(services, 1), "mallory");
    const answer = call("POST", "/users/alice/requests", { data: 1 });
    const { id } = await alice.next();
    const later = await TestClient.welcomed(portOf(services, 1), "alice");
    for (const other of [mallory, later]) {
      other.send({ type: "reply", id, data: "forged", ref: "f" });
      expect(await other.next()).toMatchObject({ type: "error", code: "not_found", ref: "f" });
    }
    alice.send({ type: "reply", id, data: "mine" });
    expect((await answer).json.data).toBe("mine");
  });

  it("has one winner when all reply at once, and the others are told", async () => {
    const services = await start();
    const [{ call }] = services;
    const tabs = await Promise.all(
      [0, 1, 2, 3, 4, 5].map((index) => TestClient.welcomed(portOf(services, index), "alice")),
    );
    for (const tab of tabs) replyAlways(tab, () => JSON.stringify(tab.welcome["connection"]));
    for (let n = 1; n <= 5; n++) {
      const { json } = await call("POST", "/users/alice/requests", { data: n });
      expect(json.data).toBe(json.connection);
      for (const tab of tabs) {
        expect(await tab.next()).toMatchObject({ type: "request", data: n });
        if (tab.welcome["connection"] === json.connection) continue;
        expect(await tab.next()).toMatchObject({ type: "error", code: "not_found" });
      }
    }
    await expectNothingLeft(services);
    expect(tabs.flatMap(({ queue }) => queue)).toEqual([]);
  });

  it("is given up when the caller hangs up", async () => {
    const services = await start();
    const [{ port, metric }] = services;
    const client = await TestClient.welcomed(portOf(services, 1), "alice");
    const headers = { "content-type": "application/json" };
    const call = httpRequest({ port, method: "POST", path: "/users/alice/requests", headers }).on("error", () => {});
    call.end(JSON.stringify({ data: 1, timeout: 60_000 }));
    const { id } = await client.next();
    expect(waitingIn(services).some((count) => count > 0)).toBe(true);
    call.destroy();
    await expectNothingLeft(services);
    await until(async () => (await metric('belfry_requests_total{result="given_up"}')) === 1);
    client.send({ type: "reply", id, data: 1 });
    expect(await client.next()).toMatchObject({ type: "error", code: "not_found" });
  });

  it("is checked like a publish: rights, body, size, limit", async () => {
    const apiKeys = [{ name: "audit", secret: "k-read-hush-hush", rights: ["read"] as const }];
    const [limited] = await start({ maxPayloadBytes: 100, maxPublishesPerSecond: 2 });
    const path = "/users/alice/requests";
    for (const [body, place] of [
      [{}, "data"],
      [{ data: 1, timeout: 0 }, "timeout"],
      [{ data: 1, timeout: 100_001 }, "timeout"],
      [{ data: 1, timeout: "5" }, "timeout"],
      [{ data: 1, event: "" }, "event"],
      [{ data: 1, ttl: 5 }, "ttl"],
    ] as const) {
      const { status, json } = await limited.call("POST", path, body);
      expect([status, json.errors[0].path]).toEqual([422, place]);
    }
    expect((await limited.call("POST", path, { data: "x".repeat(99) })).status).toBe(413);
    expect((await limited.call("POST", path, { data: 1 })).status).toBe(404);
    const { status, headers } = await limited.call("POST", path, { data: 1 });
    expect([status, headers.has("retry-after")]).toEqual([429, true]);
    const [guarded] = await start({ apiKeys: apiKeys as unknown as BelfryOptions["apiKeys"] & object });
    const bearer = { authorization: "Bearer k-read-hush-hush" };
    expect((await guarded.call("POST", path, { data: 1 }, bearer)).status).toBe(403);
  });

  it("can be made by the service's own code", async () => {
    const services = await start();
    const [{ belfry }] = services;
    const client = await TestClient.welcomed(portOf(services, 1), "alice");
    replyAlways(client, ({ data }) => `{"heard":${JSON.stringify(data)}}`);
    const reply = await belfry.hub.request("alice", [1, 2], { event: "e", timeoutMs: 5000 });
    expect(reply).toEqual({ data: { heard: [1, 2] }, connection: client.welcome["connection"] });
    await expect(belfry.hub.request("bob", 1)).rejects.toMatchObject({ code: "not_found" });
    await expect(belfry.hub.request("alice", undefined)).rejects.toMatchObject({ code: "invalid" });
  });

  it("of 10,000 at once is answered, each with its own reply, and nothing is left of any", async () => {
    const services = await start({ maxClientFramesPerSecond: 1_000_000, sendBufferBytes: 1 << 26 });
    const users = Array.from({ length: 20 }, (__, n) => `user${n}`);
    for (const [index, user] of users.entries()) {
      // Two connections each, on two replicas: one replies to what is even, the other to the rest.
      for (const parity of [0, 1]) {
        const client = await TestClient.welcomed(portOf(services, index + parity), user);
        client.ws.on("message", (text) => {
          const { id, data } = JSON.parse(String(text));
          if (data % 2 === parity) client.send(`{"type":"reply","id":"${id}","data":${data}}`);
        });
      }
    }
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const sent = Array.from({ length: 10_000 }, (__, n) => {
      const { belfry } = services[n % services.length] as Service;
      return belfry.hub.request(users[n % users.length] ?? "", n, { timeoutMs: 60_000 });
    });
    expect((await Promise.all(sent)).map(({ data }) => data)).toEqual(Array.from({ length: 10_000 }, (__, n) => n));
    await expectNothingLeft(services);
    await until(() => timers() <= before, 15_000);
  }, 60_000);
});

describe("a request to several replicas", () => {
  it("is answered in time although one of them was killed, or hangs", async () => {
    const redisPrefix = uniquePrefix();
    const [here] = (await startReplicas(1, { redisPrefix })) as [Service];
    for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
      const { child, port, call, exited } = await startProcess({
        REDIS_URL: inject("redisUrl"),
        REDIS_PREFIX: redisPrefix,
      });
      await until(async () => (await call("GET", "/readyz")).status === 200);
      const there = await TestClient.welcomed(port, "alice");
      const answer = here.call("POST", "/users/alice/requests", { data: 1, timeout: 1500 });
      expect(await there.next()).toMatchObject({ type: "request" });
      const start = performance.now();
      child.kill(signal);
      const { status, json } = await answer;
      expect([status, json.detail]).toEqual([504, "nobody replied within 1500 ms"]);
      expect(performance.now() - start).toBeLessThan(3000);
      expect(waitingIn([here])).toEqual([0, 0]);
      child.kill("SIGKILL");
      await exited;
    }
  });

  it("is 503 while Redis is away", async () => {
    const service = await startService({ redisUrl: "redis://127.0.0.1:1" });
    const { status, headers } = await service.call("POST", "/users/alice/requests", { data: 1 });
    expect([status, headers.has("retry-after")]).toEqual([503, true]);
  });
});
