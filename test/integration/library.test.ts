import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import express from "express";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { ConfigError } from "../../src/config.ts";
import { Belfry, BelfryError, type BelfryOptions } from "../../src/index.ts";
import { createLog } from "../../src/log.ts";
import { hush } from "../support/secrets.ts";
import { callerOf, until } from "../support/service.ts";
import { SseClient } from "../support/sse-client.ts";
import { refusedUpgrade, TestClient } from "../support/test-client.ts";

/** Somebody's own server, listening. */
async function ownServer(server: Server = createServer((_, response) => response.end("mine"))) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: (server.address() as AddressInfo).port };
}

async function embed(options: BelfryOptions): Promise<Belfry> {
  const belfry = await Belfry.start({ log: createLog("silent"), ...options });
  onTestFinished(() => belfry.close());
  return belfry;
}

describe("Belfry in somebody's own server", () => {
  it("takes WebSockets beside the server's own requests", async () => {
    const { server, port } = await ownServer();
    const belfry = await embed({ server });
    const client = await TestClient.welcomed(port, "alice");
    expect((await callerOf(port)("GET", "/anything")).text).toBe("mine");
    expect(await belfry.hub.broadcast({ n: 1 }, { event: "e" })).toEqual({
      id: expect.stringMatching(/^b-/),
      receivers: 1,
      replayed: false,
    });
    expect(await client.next()).toMatchObject({ scope: "broadcast", event: "e", data: { n: 1 } });
    expect((await belfry.hub.broadcastUser("alice", [1])).receivers).toBe(1);
    expect(await client.next()).toMatchObject({ scope: "user", data: [1] });
    expect((await belfry.hub.publish("news", null)).id).toMatch(/^t-/);
    expect(belfry.port).toBeUndefined();
  });

  it("hands what clients send to onMessage, with the client and the hub", async () => {
    const { server, port } = await ownServer();
    await embed({
      server,
      onMessage: (message, client, hub) => hub.broadcastUser(client.user ?? "", { echo: message.data }, message),
    });
    const client = await TestClient.welcomed(port, "alice");
    client.send({ type: "message", event: "say", data: { text: "hi" } });
    expect(await client.next()).toMatchObject({ scope: "user", event: "say", data: { echo: { text: "hi" } } });
  });

  it("tells of clients that come and go", async () => {
    const { server, port } = await ownServer();
    const belfry = await embed({ server });
    const heard: unknown[] = [];
    belfry.on("connect", (client) => heard.push("connect", client.user, client.transport));
    belfry.hub.on("disconnect", (client) => heard.push("disconnect", client.user));
    const client = await TestClient.welcomed(port, "alice");
    client.ws.close();
    await until(() => heard.length === 5);
    expect(heard).toEqual(["connect", "alice", "ws", "disconnect", "alice"]);
  });

  it("sends the welcome frame before anything that a connect listener sends", async () => {
    const { server, port } = await ownServer();
    const belfry = await embed({ server });
    belfry.on("connect", ({ user }) => void belfry.hub.broadcast(`${user} joined`));
    const client = await TestClient.welcomed(port, "alice");
    expect(await client.next()).toMatchObject({ type: "message", data: "alice joined" });
  });

  it("survives listeners that throw", async () => {
    const { server, port } = await ownServer();
    const belfry = await embed({ server });
    belfry.on("connect", () => {
      throw new Error("no");
    });
    const client = await TestClient.welcomed(port, "alice");
    await belfry.hub.broadcast(1);
    expect(await client.next()).toMatchObject({ data: 1 });
  });

  it("lets the service's own code disconnect a client", async () => {
    const { server, port } = await ownServer();
    await embed({ server, onMessage: (_, client) => client.disconnect("enough") });
    const client = await TestClient.welcomed(port, "alice");
    client.send({ type: "message", data: 1 });
    expect(await client.closed).toEqual({ code: 4403, reason: "enough" });
  });

  it("serves its API inside an express application, and leaves other paths to it", async () => {
    const app = express();
    const { server, port } = await ownServer(createServer(app));
    const belfry = await embed({ server });
    app.use("/push", belfry.handler);
    app.use((_, response) => void response.status(418).send("mine"));
    const client = await TestClient.welcomed(port, "alice");
    const call = callerOf(port);
    expect((await call("POST", "/push/users/alice/messages", { data: 1 })).status).toBe(202);
    expect(await client.next()).toMatchObject({ data: 1 });
    expect((await call("GET", "/push/nope")).status).toBe(418);
    expect((await call("PUT", "/push/broadcast")).status).toBe(405);
  });

  it("serves streams of events inside an express application, and ends them when it is closed", async () => {
    const app = express();
    const { server, port } = await ownServer(createServer(app));
    const belfry = await embed({ server, onMessage: ({ data }, _, hub) => hub.broadcastUser("alice", data) });
    app.use("/push", belfry.handler);
    const client = await SseClient.welcomed(port, "alice", { path: "/push/sse?since=earliest" });
    expect(client.welcome["recovered"]).toEqual({ broadcast: true, user: true });
    const path = `/push/sse/${client.welcome["connection"]}`;
    expect((await client.post({ type: "message", data: 1 }, { path })).status).toBe(202);
    expect(await client.next()).toMatchObject({ data: 1 });
    // What is not read to its end does not keep it from closing.
    const stuck = await SseClient.welcomed(port, "alice", { path: "/push/sse" });
    stuck.pause();
    for (let n = 0; n < 20; n++) await belfry.hub.broadcastUser("alice", "x".repeat(60_000));
    await client.take(20);
    await belfry.close(200);
    expect(await client.closed).toEqual({ code: 1001, reason: "200" });
  });

  it("leaves upgrades to other paths to others, and refuses them when there are none", async () => {
    const { server, port } = await ownServer();
    await embed({ server });
    expect((await refusedUpgrade(port, [], { path: "/other" })).status).toBe(404);
    const other = new WebSocketServer({ noServer: true });
    server.on("upgrade", (request, socket, head) => {
      if (request.url === "/other") other.handleUpgrade(request, socket, head, (ws) => ws.send("other"));
    });
    expect(await (await TestClient.open(port, [], { path: "/other" })).nextText()).toBe("other");
    await TestClient.welcomed(port, "alice");
  });

  it("leaves the server as it was when it is closed", async () => {
    const { server, port } = await ownServer();
    const belfry = await embed({ server });
    const client = await TestClient.welcomed(port, "alice");
    await belfry.close();
    expect((await client.closed).code).toBe(1001);
    expect(server.listenerCount("upgrade")).toBe(0);
    expect((await callerOf(port)("GET", "/")).text).toBe("mine");
  });

  it.each([
    ["data that JSON cannot say", (belfry: Belfry) => belfry.hub.broadcast(undefined), "invalid"],
    ["a cycle", (belfry: Belfry) => belfry.hub.broadcast(cycle()), "invalid"],
    ["an empty user id", (belfry: Belfry) => belfry.hub.broadcastUser("", 1), "invalid"],
    ["an empty topic", (belfry: Belfry) => belfry.hub.publish("", 1), "invalid"],
    ["a ttl below 0", (belfry: Belfry) => belfry.hub.broadcast(1, { ttl: -1 }), "invalid"],
    ["data over the limit", (belfry: Belfry) => belfry.hub.broadcast("x".repeat(70_000)), "too_large"],
  ])("refuses %s", async (_, act, code) => {
    const belfry = await embed({ port: 0 });
    const error = await act(belfry).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(BelfryError);
    expect(error).toMatchObject({ code });
  });

  it("keeps its defaults where an option is undefined", async () => {
    const options = {
      port: 0,
      maxPayloadBytes: undefined,
      maxConnectionsPerUser: undefined,
    } as unknown as BelfryOptions;
    const belfry = await embed(options);
    await expect(belfry.hub.broadcast("x".repeat(70_000))).rejects.toMatchObject({ code: "too_large" });
    await TestClient.welcomed(belfry.port ?? 0, "alice");
  });

  it("closes all the same when a client violates the protocol meanwhile", async () => {
    const { server, port } = await ownServer();
    const belfry = await embed({ server });
    const client = await TestClient.welcomed(port, "alice");
    client.ws.pause();
    const closed = belfry.close(500);
    const { _socket: socket } = client.ws as unknown as { _socket: Socket };
    socket.write(Buffer.from([0x83, 0x80, 0, 0, 0, 0]));
    await closed;
    expect(server.listenerCount("upgrade")).toBe(0);
  });

  it("does not start where its options contradict each other: a key without authMode would check no token", async () => {
    const { server } = await ownServer();
    const options = { server, jwtSecret: hush("a secret that nobody would use") };
    await expect(embed(options)).rejects.toThrow(ConfigError);
    expect(server.listenerCount("upgrade")).toBe(0);
  });

  it("rejects when its port is taken, and leaves nothing behind", async () => {
    const belfry = await embed({ port: 0 });
    await expect(Belfry.start({ port: belfry.port ?? 0, log: createLog("silent") })).rejects.toThrow("EADDRINUSE");
  });
});

function cycle(): unknown {
  const value: Record<string, unknown> = {};
  value["self"] = value;
  return value;
}
