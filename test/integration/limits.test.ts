import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { dripping, raw } from "../support/raw-tcp.ts";
import { startService, until } from "../support/service.ts";
import { SseClient } from "../support/sse-client.ts";
import { refusedUpgrade, TestClient } from "../support/test-client.ts";
import { secret, sign } from "../support/tokens.ts";

describe("a request target", () => {
  const tooLong = (path: string) => path + "x".repeat(4097 - path.length);

  it("of more than 4,096 bytes is answered with 414, on whatever path", async () => {
    const { call, metric } = await startService();
    for (const [method, path] of [
      ["GET", "/users/"],
      ["POST", "/broadcast?"],
      ["POST", "/users/%"],
      ["PUT", "/broadcast?"],
      ["GET", "/nope/"],
    ] as const) {
      const answer = await call(method, tooLong(path), method === "POST" ? { data: 1 } : undefined);
      expect([answer.status, answer.json.type]).toEqual([414, "urn:belfry:error:uri_too_long"]);
    }
    const sample = 'belfry_http_request_seconds_count{route="/broadcast",method="POST",status="414"}';
    expect(await metric(sample)).toBe(1);
  });

  it("of 4,096 bytes is served", async () => {
    const { call } = await startService();
    expect((await call("GET", tooLong("/healthz?").slice(0, -1))).status).toBe(200);
  });

  it("that is too long for a head is answered with 414 too, and counted", async () => {
    const { port, metric } = await startService();
    const answer = await raw(port, `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 414 URI Too Long\r\n/);
    expect(await raw(port, `GET / HTTP/1.1\r\nX: ${"x".repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /);
    expect(await metric('belfry_dropped_connections_total{reason="refused_uri_too_long"}')).toBe(1);
    expect(await metric('belfry_dropped_connections_total{reason="refused_headers_too_large"}')).toBe(1);
  });

  it("is bounded for handshakes as well, and so is the number of since parameters", async () => {
    const { port, metric } = await startService();
    expect((await refusedUpgrade(port, "alice", { path: tooLong("/ws?") })).status).toBe(414);
    expect(await metric('belfry_dropped_connections_total{reason="refused_uri_too_long"}')).toBe(1);
    const ids = Array.from({ length: 601 }, (_, n) => `t-${n}-1`);
    const { status, body } = await SseClient.refused(port, "alice", { headers: { "last-event-id": ids.join(",") } });
    expect([status, JSON.parse(body).detail]).toEqual([400, expect.stringContaining("more than 600 times")]);
    expect(await metric('belfry_dropped_connections_total{reason="refused_malformed"}')).toBe(1);
  });
});

describe("a socket that connects and does not send a request", () => {
  it.each([
    ["says nothing", "", ""],
    ["sends its head a byte at a time", "GET /ws HTTP/1.1\r\nHost: x\r\nX-A: ", "x"],
  ])("is cut after HANDSHAKE_TIMEOUT_MS when it %s, on PORT and on API_PORT", async (_, head, drip) => {
    const { port, belfry, metric } = await startService({ apiPort: 0, handshakeTimeoutMs: 300 });
    for (const one of [port, belfry.apiPort ?? 0]) {
      const durationMs = await dripping(one, head, drip);
      expect(durationMs).toBeGreaterThan(250);
      expect(durationMs).toBeLessThan(2000);
    }
    expect(await metric('belfry_dropped_connections_total{reason="refused_timeout"}')).toBe(2);
  });
});

describe("a client's frame", () => {
  const nested = (levels: number) =>
    `{"type":"message","data":${"[".repeat(levels - 1)}"]{\\""${"]".repeat(levels - 1)},"ref":1}`;

  it("is taken when it is nested 64 levels deep", async () => {
    const taken: unknown[] = [];
    const { port } = await startService({ onMessage: ({ data }) => taken.push(data) });
    const client = await TestClient.welcomed(port, "alice");
    client.send(nested(64));
    await until(() => taken.length === 1);
  });

  it.each([65, 30_000])("is malformed when it is nested %i levels deep, and the connection lives", async (levels) => {
    const taken: unknown[] = [];
    const { port, call } = await startService({ onMessage: ({ data }) => taken.push(data) });
    const client = await TestClient.welcomed(port, "alice");
    client.send(nested(levels));
    const detail = "the frame is nested deeper than 64 levels";
    expect(await client.next()).toEqual({ type: "error", code: "malformed", detail });
    await call("POST", "/users/alice/messages", { data: 1 });
    expect(await client.next()).toMatchObject({ data: 1 });
    expect(taken).toEqual([]);
  });

  it("may be a pong that nobody asked for, but not without end", async () => {
    const { port } = await startService({ maxClientFramesPerSecond: 10 });
    const client = await TestClient.welcomed(port, "alice");
    for (let n = 0; n < 50; n++) client.ws.pong();
    expect((await client.closed).code).toBe(4429);
  });

  it("may come in pieces, but not in thousands", async () => {
    const { port } = await startService({ onMessage: () => {} });
    const client = await TestClient.welcomed(port, "alice");
    for (let n = 0; n < 2000; n++) client.ws.send(n === 0 ? "x" : "", { fin: false });
    expect((await client.closed).code).toBe(1008);
  });
});

/** Presents what is no token, and does not hang up when it is told so. */
async function turnedAway(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => {});
  onTestFinished(() => void socket.destroy());
  socket.write(
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: belfry.v1, no-token\r\n\r\n",
  );
  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(String(answer)).toMatch(/^HTTP\/1.1 101 /);
  return socket;
}

describe("clients whose tokens are not valid", () => {
  it("take no place from others while they are told so, and are cut when they do not hang up", async () => {
    const options = { authMode: "jwt", jwtSecret: secret, maxConnections: 1 } as const;
    const { port } = await startService(options);
    const start = performance.now();
    const silent = await Promise.all(Array.from({ length: 20 }, () => turnedAway(port)));
    const ended = silent.map((socket) => once(socket, "end"));
    await TestClient.welcomed(port, await sign());
    await Promise.all(ended);
    expect(performance.now() - start).toBeLessThan(6000);
  });
});
