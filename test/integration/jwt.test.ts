import { createSecretKey } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { generateKeyPair } from "jose";
import { describe, expect, it } from "vitest";
import type { BelfryOptions } from "../../src/index.ts";
import { hush } from "../support/secrets.ts";
import { type Service, startReplicas, startService, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { nowSeconds, secret, sign } from "../support/tokens.ts";
import { transports } from "../support/transports.ts";

const jwt: BelfryOptions = { authMode: "jwt", jwtSecret: secret };

/** How the connection of a client ends that is let in and turned away at once. */
async function turnedAway(port: number, protocols: string | string[], options = {}) {
  const client = await TestClient.open(port, protocols, options);
  const end = await client.closed;
  expect(client.queue).toEqual([]);
  return { ...end, protocol: client.ws.protocol };
}

describe("a client with a token", () => {
  it.each([
    ["alone", (token: string) => token, (token: string) => token],
    ["beside belfry.v1", (token: string) => ["belfry.v1", token], () => "belfry.v1"],
    ["before belfry.v1", (token: string) => [token, "belfry.v1"], () => "belfry.v1"],
  ])("offered %s is let in as its user", async (_, offer, selected) => {
    const { belfry, port } = await startService(jwt);
    const token = await sign({ sub: "zoë@example.com" });
    const client = await TestClient.welcomed(port, offer(token));
    expect(client.welcome).toMatchObject({ user: "zoë@example.com" });
    expect(client.ws.protocol).toBe(selected(token));
    await belfry.hub.broadcastUser("zoë@example.com", 1);
    expect(await client.next()).toMatchObject({ data: 1 });
  });

  it("may send it as a header", async () => {
    const { port } = await startService(jwt);
    const headers = { authorization: `Bearer ${await sign()}` };
    const client = await TestClient.welcomed(port, "belfry.v1", { headers });
    expect(client.welcome).toMatchObject({ user: "alice" });
    expect((await TestClient.welcomed(port, [], { headers })).ws.protocol).toBe("");
  });

  it("that is not valid is closed with 4401 and a reason, and never registered", async () => {
    const { belfry, call, metric, logs, port } = await startService(jwt);
    let connects = 0;
    belfry.on("connect", () => connects++);
    const bad = {
      "the token has expired": await sign({ exp: nowSeconds() - 60 }),
      "the token's signature is not valid": await sign({}, createSecretKey("another secret", "utf8").export()),
      "this is not a valid token": "alice",
    };
    for (const [reason, token] of Object.entries(bad)) {
      expect(await turnedAway(port, ["belfry.v1", token])).toEqual({ code: 4401, reason, protocol: "belfry.v1" });
      expect(await turnedAway(port, token)).toEqual({ code: 4401, reason, protocol: token });
      const headers = { authorization: `Bearer ${token}` };
      expect(await turnedAway(port, [], { headers })).toMatchObject({ code: 4401, reason });
    }
    expect([connects, belfry.hub.size]).toEqual([0, 0]);
    expect((await call("GET", "/users/alice")).json).toMatchObject({ online: false });
    expect(await metric('belfry_dropped_connections_total{reason="refused_unauthorized"}')).toBe(9);
    for (const token of Object.values(bad).slice(0, 2)) {
      expect(logs.join("")).not.toContain(token.split(".")[1]);
      expect(logs.join("")).not.toContain(token.split(".")[2]);
    }
  });

  it("that lacks a claim of a long name is closed with as much of the reason as fits into a frame", async () => {
    const jwtUserClaim = `https://identity.example.com/x${"ä".repeat(80)}`;
    const { port } = await startService({ ...jwt, jwtUserClaim });
    const { code, reason } = await turnedAway(port, await sign());
    expect([code, Buffer.byteLength(reason)]).toEqual([4401, 122]);
    expect(`the token's claim ${jwtUserClaim} is not`).toContain(reason);
  });

  it("must present one, unless anonymous clients are allowed", async () => {
    const closed = await startService(jwt);
    for (const protocols of [[], "belfry.v1"]) {
      await expect(TestClient.open(closed.port, protocols)).rejects.toThrow("401");
    }
    const open = await startService({ ...jwt, allowAnonymous: true });
    expect((await TestClient.welcomed(open.port, "belfry.v1")).welcome).toMatchObject({ user: null });
    expect(await turnedAway(open.port, "alice")).toMatchObject({ code: 4401 });
  });

  it("is refused, and not turned away, where the keys cannot be had", async () => {
    const options = { authMode: "jwt" as const, jwtJwksUrl: new URL("http://127.0.0.1:9/jwks") };
    const { port } = await startService(options);
    const { privateKey } = await generateKeyPair("ES256");
    await expect(TestClient.open(port, await sign({}, privateKey, { alg: "ES256" }))).rejects.toThrow("503");
  });
});

describe.each(transports)("the end of a token by $name", (transport) => {
  const shortLived = { ...jwt, pingIntervalMs: 1000, pongTimeoutMs: 1000 };

  it("closes the connection with 4401", async () => {
    const { port } = await startService(shortLived);
    const client = await transport.welcomed(port, { flag: await sign({ exp: nowSeconds() + 2 }) });
    expect(await client.closed).toEqual({ code: 4401, reason: "the token has expired" });
    expect(Date.now() / 1000 - nowSeconds()).toBeLessThan(1);
  });

  it("is put off by an auth frame, of the same user only", async () => {
    const { port } = await startService(shortLived);
    const client = await transport.welcomed(port, { flag: await sign({ exp: nowSeconds() + 2 }) });
    const renew = (token: string, ref: number) => client.send({ type: "auth", token, ref });
    await renew(await sign({ sub: "bob" }), 1);
    expect(await client.next()).toMatchObject({ type: "error", code: "forbidden", ref: 1 });
    await renew("nonsense", 2);
    expect(await client.next()).toMatchObject({ type: "error", code: "unauthorized", ref: 2 });
    await renew(await sign({ exp: nowSeconds() + 600 }), 3);
    await pause(3000);
    expect(client.isOpen).toBe(true);
    // And to an earlier time as well.
    await renew(await sign({ exp: nowSeconds() + 1 }), 4);
    expect(await client.closed).toMatchObject({ code: 4401 });
  });
});

describe.each(transports)("MAX_CONNECTION_AGE_MS by $name", (transport) => {
  it("closes a connection with 1001 after 80 to 100 % of it, whatever the mode", async () => {
    const { port } = await startService({ maxConnectionAgeMs: 1500, pingIntervalMs: 500 });
    const started = performance.now();
    const clients = await Promise.all(["a", "b", "c"].map((user) => transport.welcomed(port, { flag: user })));
    for (const { closed } of clients) expect(await closed).toEqual({ code: 1001, reason: "1000" });
    expect(performance.now() - started).toBeGreaterThan(1500 * 0.8);
  });
});

const services: [name: string, start: () => Promise<readonly [Service, Service, () => Promise<Service>]>][] = [
  ["in memory", async () => startService(jwt).then((service) => [service, service, () => startService(jwt)] as const)],
  [
    "over replicas",
    async () => {
      const redisPrefix = `test-${crypto.randomUUID()}`;
      const [one, two] = (await startReplicas(2, { ...jwt, redisPrefix })) as [Service, Service];
      return [one, two, async () => (await startReplicas(1, { ...jwt, redisPrefix }))[0] as Service] as const;
    },
  ],
];
const ways = transports.flatMap((transport) =>
  services.map(([name, start]) => [transport.name, name, transport, start] as const),
);

describe.each(ways)("a revocation by %s, %s", (_transport, name, transport, start) => {
  it("closes what it covers with 4401 within a second, and refuses it from then on", async () => {
    const [one, two, startAnother] = await start();
    const tokens = {
      alice: await sign({ jti: "a1", iat: nowSeconds() - 100 }),
      otherOfAlice: await sign({ jti: "a2", iat: nowSeconds() - 50 }),
      bob: await sign({ sub: "bob", jti: "b1" }),
    };
    const open = async () => ({
      alice: await transport.welcomed(one.port, { flag: tokens.alice }),
      aliceThere: await transport.welcomed(two.port, { flag: tokens.otherOfAlice }),
      bob: await transport.welcomed(two.port, { flag: tokens.bob }),
    });
    const revoked = { code: 4401, reason: "the token was revoked" };
    const clients = await open();

    expect((await one.call("POST", "/revocations", { jti: "a1" })).status).toBe(202);
    expect(await clients.alice.closed).toEqual(revoked);
    for (const { port } of [one, two]) expect(await transport.turnedAway(port, tokens.alice)).toMatchObject(revoked);
    expect(clients.aliceThere.isOpen).toBe(true);

    const started = performance.now();
    expect((await one.call("POST", "/revocations", { user: "alice" })).status).toBe(202);
    expect(await clients.aliceThere.closed).toEqual(revoked);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(await transport.turnedAway(two.port, tokens.otherOfAlice)).toMatchObject(revoked);
    expect(clients.bob.isOpen).toBe(true);

    // A replica that was not there reads of it.
    if (name === "over replicas") {
      const three = await startAnother();
      expect(await transport.turnedAway(three.port, tokens.alice)).toMatchObject(revoked);
      expect((await transport.welcomed(three.port, { flag: tokens.bob })).welcome).toMatchObject({ user: "bob" });
    }
    // Whoever logs in again is let in.
    const newer = await sign({ iat: nowSeconds() + 1 });
    expect((await transport.welcomed(two.port, { flag: newer })).welcome).toMatchObject({ user: "alice" });
  });

  it("covers what was issued before a time, in seconds or ms, of one user or of all", async () => {
    const [one, two] = await start();
    const before = nowSeconds() - 10;
    const [old, young] = [await sign({ iat: before - 1 }), await sign({ iat: before })];
    const [bobOld, bobYoung] = [await sign({ sub: "bob", iat: before - 1 }), await sign({ sub: "bob", iat: before })];
    await one.call("POST", "/revocations", { user: "alice", before });
    expect(await transport.turnedAway(two.port, old)).toMatchObject({ code: 4401 });
    for (const token of [young, bobOld, bobYoung]) await transport.welcomed(two.port, { flag: token });
    await one.call("POST", "/revocations", { before: before * 1000 });
    expect(await transport.turnedAway(two.port, bobOld)).toMatchObject({ code: 4401 });
    for (const token of [young, bobYoung]) await transport.welcomed(two.port, { flag: token });
    // A token that does not say when it was issued is older than any time.
    expect(
      await transport.turnedAway(two.port, await sign({ sub: "carol", iat: undefined as unknown as number })),
    ).toMatchObject({ code: 4401 });
  });

  it("refuses a renewal with what it covers", async () => {
    const [one, two] = await start();
    const revoked = await sign({ jti: "r1" });
    const client = await transport.welcomed(two.port, { flag: await sign() });
    await one.call("POST", "/revocations", { jti: "r1" });
    await client.send({ type: "auth", token: revoked });
    expect(await client.next()).toMatchObject({ type: "error", code: "unauthorized", detail: "the token was revoked" });
  });
});

describe("POST /revocations", () => {
  it.each([{}, { user: "" }, { jti: 1 }, { before: "now" }, { before: -1 }, { users: ["alice"] }])(
    "refuses %j",
    async (body) => {
      const { call } = await startService(jwt);
      expect((await call("POST", "/revocations", body)).status).toBe(422);
    },
  );

  it("takes token ids of 1,024 characters, however they are written, and no longer ones", async () => {
    const { call } = await startService(jwt);
    const statusOf = async (jti: string) => (await call("POST", "/revocations", `{"jti":"${jti}"}`)).status;
    expect([await statusOf("\\ud83d\\udd14".repeat(1024)), await statusOf("🔔".repeat(1024))]).toEqual([202, 202]);
    expect([await statusOf("🔔".repeat(1025)), await statusOf("a".repeat(1025))]).toEqual([422, 422]);
  });

  it("needs the right admin", async () => {
    const apiKeys = [
      { name: "all", secret: hush("k1"), rights: ["admin" as const] },
      { name: "some", secret: hush("k2"), rights: ["publish" as const, "read" as const] },
    ];
    const { call } = await startService({ ...jwt, apiKeys });
    const revoke = (key: string) =>
      call("POST", "/revocations", { jti: "x" }, { authorization: `Bearer ${hush(key)}` });
    expect((await revoke("k2")).status).toBe(403);
    expect((await revoke("k1")).status).toBe(202);
  });

  it("says that there is nothing to revoke without tokens", async () => {
    const { call } = await startService();
    const { status, json } = await call("POST", "/revocations", { user: "alice" });
    expect([status, json.detail]).toEqual([422, expect.stringContaining("AUTH_MODE=none")]);
  });

  it("forgets after REVOCATION_TTL_SECONDS", async () => {
    const { call, port } = await startService({ ...jwt, revocationTtlSeconds: 1 });
    const token = await sign({ jti: "x" });
    await call("POST", "/revocations", { jti: "x" });
    expect(await turnedAway(port, token)).toMatchObject({ code: 4401 });
    await until(async () => {
      const client = await TestClient.open(port, token);
      return Promise.race([client.next().then(() => true), client.closed.then(() => false)]);
    });
  });
});
