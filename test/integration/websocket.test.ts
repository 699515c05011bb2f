import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { raw } from "../support/raw-tcp.ts";
import { expectNothingMore, startService } from "../support/service.ts";
import { refusedUpgrade, TestClient } from "../support/test-client.ts";

describe("the handshake", () => {
  it.each([
    { offered: ["alice"], selected: "alice", user: "alice" },
    { offered: ["belfry.v1", "alice"], selected: "belfry.v1", user: "alice" },
    { offered: ["alice", "belfry.v1"], selected: "belfry.v1", user: "alice" },
    { offered: ["belfry.v1", "u.w6RAYi5jb20"], selected: "belfry.v1", user: "ä@b.com" },
    { offered: ["u.w6RAYi5jb20"], selected: "u.w6RAYi5jb20", user: "ä@b.com" },
    { offered: ["u.not*canonical"], selected: "u.not*canonical", user: "u.not*canonical" },
    { offered: ["u."], selected: "u.", user: "u." },
    { offered: ["a".repeat(128)], selected: "a".repeat(128), user: "a".repeat(128) },
  ])("takes $offered as $user and selects $selected", async ({ offered, selected, user }) => {
    const { port } = await startService();
    const client = await TestClient.welcomed(port, offered);
    expect(client.ws.protocol).toBe(selected);
    expect(client.welcome["user"]).toBe(user);
  });

  it("behind a request that is not answered yet is none: its answer would come before", async () => {
    const { port } = await startService();
    const request = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
    const answer = await raw(
      port,
      `${request}GET /ws HTTP/1.1\r\nSec-WebSocket-Protocol: alice\r\n${upgradeHeaders}\r\n`,
    );
    expect(answer.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 426"]);
  });

  it("takes a bearer token where no flag is offered", async () => {
    const { port } = await startService();
    const headers = { authorization: "Bearer alice" };
    expect((await TestClient.welcomed(port, [], { headers })).welcome["user"]).toBe("alice");
    const named = await TestClient.welcomed(port, ["belfry.v1"], { headers });
    expect([named.welcome["user"], named.ws.protocol]).toEqual(["alice", "belfry.v1"]);
  });

  it("refuses a client that does not say who it is", async () => {
    const { port } = await startService();
    for (const offered of [[], ["belfry.v1"]]) {
      const { status, headers, body } = await refusedUpgrade(port, offered);
      expect(status).toBe(401);
      expect(headers["content-type"]).toBe("application/problem+json");
      expect(JSON.parse(body)).toMatchObject({ status: 401, type: "urn:belfry:error:unauthorized" });
    }
  });

  it.each([
    ["two flags", { protocols: ["alice", "bob"] }],
    ["a user id of 129 characters", { protocols: ["a".repeat(129)] }],
    [
      "an encoded user id of 129 characters",
      { protocols: [`u.${Buffer.from("ä".repeat(129)).toString("base64url")}`] },
    ],
  ])("refuses %s as malformed", async (_, { protocols }) => {
    const { port } = await startService();
    expect((await refusedUpgrade(port, protocols)).status).toBe(400);
  });

  it.each([
    ["an unknown path", "GET /nope HTTP/1.1\r\nSec-WebSocket-Protocol: alice\r\n", 404],
    ["another method", "POST /ws HTTP/1.1\r\nSec-WebSocket-Protocol: alice\r\n", 405],
    ["an empty entry in the list of subprotocols", "GET /ws HTTP/1.1\r\nSec-WebSocket-Protocol: alice,,b\r\n", 400],
    ["a flag that is no token", "GET /ws HTTP/1.1\r\nSec-WebSocket-Protocol: a@b.com\r\n", 400],
    ["belfry.v1 twice", "GET /ws HTTP/1.1\r\nSec-WebSocket-Protocol: belfry.v1, belfry.v1\r\n", 400],
    ["101 header fields", `GET /ws HTTP/1.1\r\n${"X-A: 1\r\n".repeat(101)}`, 431],
    ["a head of 17 KiB", `GET /ws HTTP/1.1\r\nX-A: ${"a".repeat(17 * 1024)}\r\n`, 431],
    ["a request that is none", "HELLO\r\n", 400],
  ])("answers %s in plain HTTP", async (_, head, status) => {
    const { port } = await startService();
    const answer = await raw(port, `${head}${upgradeHeaders}\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain("application/problem+json");
  });

  it.each([
    ["a key that is none", upgradeHeaders.replace(/Key: .*/, "Key: short"), 400],
    ["another version", upgradeHeaders.replace("Version: 13", "Version: 12"), 426],
    ["websocket among other protocols", upgradeHeaders.replace("Upgrade: websocket", "Upgrade: websocket, h2c"), 426],
  ])("refuses %s", async (_, headers, status) => {
    const { port } = await startService();
    const answer = await raw(port, `GET /ws HTTP/1.1\r\nSec-WebSocket-Protocol: alice\r\n${headers}\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (status === 426) expect(answer).toContain("Sec-WebSocket-Version: 13");
  });

  it("counts connections whose closing handshake is not over", async () => {
    const { port } = await startService({ maxConnections: 2, maxConnectionsPerUser: 1 });
    await TestClient.welcomed(port, "alice");
    const turnedAway = await TestClient.open(port, "alice");
    turnedAway.ws.pause();
    expect((await refusedUpgrade(port, "bob")).status).toBe(503);
  });

  it("cuts handshakes that do not come to an end", async () => {
    const { port } = await startService({ handshakeTimeoutMs: 100 });
    const silent = connect(port, "127.0.0.1");
    const slow = connect(port, "127.0.0.1");
    onTestFinished(() => void [silent.destroy(), slow.destroy()]);
    slow.write("GET /ws HTTP/1.1\r\nHost: x\r\n");
    silent.resume();
    slow.resume();
    await Promise.all([once(silent, "close"), once(slow, "close")]);
  });

  it("answers a request to /ws that is no handshake with 426", async () => {
    const { call } = await startService();
    const answer = await call("GET", "/ws");
    expect([answer.status, answer.headers.get("upgrade")]).toEqual([426, "websocket"]);
    expect((await call("POST", "/ws")).status).toBe(405);
  });
});

describe("frames", () => {
  it.each([
    ["a binary frame", (client: TestClient) => client.ws.send(Buffer.from("{}")), 1003],
    ["a frame over MAX_PAYLOAD_BYTES", (client: TestClient) => client.send(`"${"x".repeat(999)}"`), 1009],
    ["invalid UTF-8", (client: TestClient) => client.ws.send(Buffer.from([0xff]), { binary: false }), 1007],
  ])("closes on %s", async (_, act, code) => {
    const { port, belfry } = await startService({ maxPayloadBytes: 1000 });
    const client = await TestClient.welcomed(port, "alice");
    act(client);
    expect((await client.closed).code).toBe(code);
    expect(belfry.hub.size).toBe(0);
  });

  it("takes a frame of exactly MAX_PAYLOAD_BYTES", async () => {
    const { port } = await startService({ maxPayloadBytes: 1000 });
    const client = await TestClient.welcomed(port, "alice");
    client.send(`"${"x".repeat(998)}"`);
    expect(await client.next()).toMatchObject({ code: "malformed" });
  });

  it("counts pings as frames, answers them, and closes with 4429 when there are too many", async () => {
    const { port, metric } = await startService({ maxClientFramesPerSecond: 5 });
    const client = await TestClient.welcomed(port, "alice");
    let pongs = 0;
    client.ws.on("pong", () => void pongs++);
    for (let n = 0; n < 6; n++) client.ws.ping("x");
    expect((await client.closed).code).toBe(4429);
    expect(pongs).toBe(5);
    expect(await metric('belfry_dropped_connections_total{reason="too_many"}')).toBe(1);
  });

  it("closes with 4429 when too many frames come in a second", async () => {
    const { port, metric } = await startService({ maxClientFramesPerSecond: 5 });
    const client = await TestClient.welcomed(port, "alice");
    for (let n = 0; n < 6; n++) client.send({ type: "ack", id: "b-x-1" });
    expect((await client.closed).code).toBe(4429);
    expect(await metric('belfry_dropped_connections_total{reason="too_many"}')).toBe(1);
  });
});

describe("the heartbeat", () => {
  it("pings, and keeps a client that answers", async () => {
    const { port, call } = await startService({ pingIntervalMs: 40, pongTimeoutMs: 40 });
    const client = await TestClient.welcomed(port, "alice");
    for (let n = 0; n < 6; n++) await once(client.ws, "ping");
    await expectNothingMore(client, { call });
  });

  it("ends a client from which nothing comes", async () => {
    const { port, belfry, metric } = await startService({ pingIntervalMs: 40, pongTimeoutMs: 40 });
    const client = await TestClient.welcomed(port, "alice", { autoPong: false });
    expect((await client.closed).code).toBe(1006);
    expect(belfry.hub.size).toBe(0);
    expect(await metric('belfry_dropped_connections_total{reason="heartbeat"}')).toBe(1);
  });
});

const upgradeHeaders =
  "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
