import { describe, expect, it, vi } from "vitest";
import { expectNothingMore, startService, until } from "../support/service.ts";
import { type TestTransport, transports } from "../support/transports.ts";
import { worlds } from "../support/worlds.ts";

const [ws, sse] = transports as [TestTransport, TestTransport];

describe.each(transports)("a client that comes by $name", (transport) => {
  it("is welcomed with its connection, user and positions", async () => {
    const { port, call } = await startService({ pingIntervalMs: 12_345 });
    const { json } = await call("POST", "/broadcast", { data: 1 });
    const { welcome } = await transport.welcomed(port, { flag: "alice" });
    expect(welcome).toEqual({
      type: "welcome",
      connection: expect.stringMatching(/^[0-9a-f-]{36}$/),
      user: "alice",
      positions: { broadcast: json.id, user: expect.stringMatching(/^u-[0-9a-z]{1,32}-0$/) },
      recovered: {},
      heartbeat: 12_345,
      ...(transport === sse && { secret: expect.stringMatching(/^[\w-]{43}\.YWxpY2U$/) }),
    });
    expect((await call("GET", "/users/alice")).json.connections).toMatchObject([
      { connection: welcome["connection"], transport: transport.name, remote: "127.0.0.1" },
    ]);
  });

  it("may be of a user whose id is no token", async () => {
    const { port } = await startService();
    expect((await transport.welcomed(port, { flag: "u.w6RAYi5jb20" })).welcome["user"]).toBe("ä@b.com");
    expect((await transport.refused(port, { flag: "a".repeat(129) })).status).toBe(400);
  });

  it("is refused when it does not say who it is, unless anonymous clients are allowed, for broadcasts", async () => {
    const closed = await startService();
    const { status, headers, body } = await transport.refused(closed.port, {});
    expect([status, headers["content-type"]]).toEqual([401, "application/problem+json"]);
    expect(JSON.parse(body)).toMatchObject({ status: 401, type: "urn:belfry:error:unauthorized" });
    expect(await closed.metric('belfry_dropped_connections_total{reason="refused_unauthorized"}')).toBe(1);
    const { port, call } = await startService({ allowAnonymous: true });
    const client = await transport.welcomed(port, {});
    expect(client.welcome["user"]).toBeNull();
    expect(client.welcome["positions"]).toEqual({ broadcast: expect.stringMatching(/^b-[0-9a-z]+-0$/) });
    await call("POST", "/broadcast", { data: 1 });
    expect(await client.next()).toMatchObject({ type: "message", scope: "broadcast", data: 1 });
  });

  it("is let in from pages of allowed origins and no others", async () => {
    const { port, metric } = await startService({
      allowedOrigins: [
        { kind: "exact", origin: "https://app.example.com" },
        { kind: "subdomains", scheme: "https", suffix: ".example.org" },
      ],
    });
    for (const origin of ["https://app.example.com", "https://a.example.org", undefined]) {
      await transport.welcomed(port, { flag: "alice", origin });
    }
    for (const origin of ["https://evil.com", "http://app.example.com", "https://example.org", "null"]) {
      expect((await transport.refused(port, { flag: "alice", origin })).status).toBe(403);
    }
    expect(await metric('belfry_dropped_connections_total{reason="refused_forbidden"}')).toBe(4);
  });

  it.each(transports)("finds no room beside a connection by $name when MAX_CONNECTIONS is 1", async (other) => {
    const { port, belfry } = await startService({ maxConnections: 1 });
    const first = await other.welcomed(port, { flag: "alice" });
    const { status, headers } = await transport.refused(port, { flag: "bob" });
    expect([status, headers["retry-after"]]).toEqual([503, "2"]);
    first.leave();
    await until(() => belfry.hub.size === 0);
    await transport.welcomed(port, { flag: "bob" });
  });

  it("is closed with 4429, or 4409, when its user has too many connections, by whatever transport", async () => {
    const rejecting = await startService({ maxConnectionsPerUser: 1 });
    await ws.welcomed(rejecting.port, { flag: "alice" });
    const over = await transport.open(rejecting.port, { flag: "alice" });
    expect(await over.closed).toEqual({ code: 4429, reason: "too many connections of this user" });
    expect(over.queue).toEqual([]);
    const replacing = await startService({ maxConnectionsPerUser: 1, overLimit: "replace" });
    const oldest = await transport.welcomed(replacing.port, { flag: "alice" });
    await sse.welcomed(replacing.port, { flag: "alice" });
    expect((await oldest.closed).code).toBe(4409);
  });

  it("is unregistered at once when it goes, and counted until then", async () => {
    const { port, belfry, metric } = await startService();
    const gone: string[] = [];
    belfry.on("disconnect", (client) => gone.push(client.transport));
    const client = await transport.welcomed(port, { flag: "alice" });
    expect(await metric(`belfry_connections{transport="${transport.name}"}`)).toBe(1);
    client.leave();
    await until(() => gone.length === 1, 1000);
    expect([gone, belfry.hub.size]).toEqual([[transport.name], 0]);
    expect(await metric(`belfry_connections{transport="${transport.name}"}`)).toBe(0);
  });

  it("is closed with 1001 and the window when the service goes", async () => {
    const { port, belfry } = await startService();
    const client = await transport.welcomed(port, { flag: "alice" });
    await belfry.close(200);
    expect(await client.closed).toEqual({ code: 1001, reason: "200" });
  });
});

describe.each(transports)("frames of a client that comes by $name", (transport) => {
  it("are answered with an error frame when they are malformed, and it lives on", async () => {
    const { port, call } = await startService();
    const client = await transport.welcomed(port, { flag: "alice" });
    await client.send("[]");
    await client.send({ type: "nonsense", ref: 7 });
    await client.send({ type: "ack", ref: "r" });
    await client.send({ type: "ack", id: "b-x-1", whatever: 1 });
    expect(await client.take(3)).toEqual([
      { type: "error", code: "malformed", detail: "the frame is not a JSON object" },
      { type: "error", code: "unknown_type", detail: expect.any(String), ref: 7 },
      { type: "error", code: "malformed", detail: "id: expected a text that is not empty", ref: "r" },
    ]);
    await expectNothingMore(client, { call });
  });

  it("close it with 1008 when ten in a row are malformed, and not if a good one comes between", async () => {
    const { port } = await startService();
    const client = await transport.welcomed(port, { flag: "alice" });
    for (let n = 0; n < 9; n++) await client.send("0");
    await client.send({ type: "ack", id: "b-x-1" });
    for (let n = 0; n < 9; n++) await client.send("0");
    await client.take(18);
    await client.send("0");
    expect((await client.closed).code).toBe(1008);
  });

  it("are malformed when they are nested more than 64 levels deep", async () => {
    const nested = (levels: number) => `{"type":"message","data":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;
    const onMessage = vi.fn();
    const { port } = await startService({ onMessage });
    const client = await transport.welcomed(port, { flag: "alice" });
    await client.send(nested(64));
    await client.send(nested(65));
    const detail = "the frame is nested deeper than 64 levels";
    expect(await client.next()).toEqual({ type: "error", code: "malformed", detail });
    expect(onMessage).toHaveBeenCalledOnce();
  });

  it("are handed to onMessage, and it is told so where there is none", async () => {
    const heard: unknown[] = [];
    const { port } = await startService({
      onMessage: (message, client) => {
        heard.push(message, client.user);
        if (message.data === "bad") throw new Error("no");
      },
    });
    const client = await transport.welcomed(port, { flag: "alice" });
    await client.send({ type: "message", event: "say", data: { n: 1 } });
    await client.send({ type: "message", data: "bad", ref: 1 });
    expect(await client.next()).toMatchObject({ type: "error", code: "failed", ref: 1 });
    expect(heard).toEqual([{ event: "say", data: { n: 1 } }, "alice", { data: "bad" }, "alice"]);
    const other = await transport.welcomed((await startService()).port, { flag: "alice" });
    await other.send({ type: "message", data: 1, ref: 2 });
    expect(await other.next()).toMatchObject({ type: "error", code: "unsupported", ref: 2 });
  });
});

describe.each(worlds)("one user with connections by both transports, $name", ({ start }) => {
  it("is sent everything on each of them, and nobody else is", async () => {
    const [one, two] = await start();
    const clients = [
      await ws.welcomed(one.port, { flag: "alice" }),
      await sse.welcomed(one.port, { flag: "alice" }),
      await sse.welcomed(two.port, { flag: "alice" }),
    ];
    const bob = await sse.welcomed(two.port, { flag: "bob" });
    for (let n = 0; n < 20; n++) {
      await one.call("POST", "/users/alice/messages", `{"data":{"n" : ${n}.0, "big":12345678901234567890}}`);
      await two.call("POST", "/broadcast", { data: n });
    }
    const texts = await Promise.all(clients.map(async (client) => [await client.take(40)]));
    expect(texts[1]).toEqual(texts[0]);
    expect(texts[2]).toEqual(texts[0]);
    expect((await bob.take(20)).map(({ data }) => data)).toEqual(Array.from({ length: 20 }, (__, n) => n));
    const { json } = await two.call("GET", "/users/alice");
    const shown = json.connections.map((connection: { transport: string }) => connection.transport);
    expect(shown.toSorted()).toEqual(["sse", "sse", "ws"]);
    expect((await one.call("DELETE", "/users/alice/connections")).json).toEqual({ closed: 3 });
    for (const { closed } of clients) expect(await closed).toEqual({ code: 4403, reason: "disconnected by the API" });
    await expectNothingMore(bob, one);
  });
});
