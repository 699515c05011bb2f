import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { BelfryOptions } from "../../src/index.ts";
import { parseId } from "../../src/protocol/positions.ts";
import { raw } from "../support/raw-tcp.ts";
import { type Service, startReplicas, startService, until } from "../support/service.ts";
import { SseClient } from "../support/sse-client.ts";

const offsets = (client: SseClient, texts: readonly string[]) =>
  texts.map((text) => parseId(JSON.parse(text).id)?.offset ?? client.port);

describe("a stream", () => {
  it("is one of events that nothing in between keeps back, compresses or stores", async () => {
    const { port } = await startService({ compression: true });
    const client = await SseClient.welcomed(port, "alice", { headers: { "accept-encoding": "gzip, br" } });
    expect(client.response.headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
      connection: "close",
    });
    expect(client.response.headers).not.toHaveProperty("content-encoding");
    expect(client.reader.retryMs).toBeGreaterThanOrEqual(1000);
    expect(client.reader.retryMs).toBeLessThanOrEqual(3000);
  });

  it("gives with each event the ids of all streams, by which it is resumed exactly after a cut in the middle", async () => {
    const service = await startService();
    const first = await SseClient.welcomed(service.port, "alice");
    const positions = Object.values(first.welcome["positions"] as Record<string, string>);
    expect(first.lastEventId).toBe(positions.join(","));
    const sent: string[] = [];
    for (let n = 0; n < 30; n++) {
      const path = n % 3 === 0 ? "/broadcast" : "/users/alice/messages";
      sent.push((await service.call("POST", path, { data: n })).json.id);
    }
    await first.take(30);
    for (const [index, lastEventId] of first.ids.entries()) {
      if (index % 5 !== 0) continue;
      const again = await SseClient.welcomed(service.port, "alice", { headers: { "last-event-id": lastEventId } });
      expect(again.welcome["recovered"]).toEqual({ broadcast: true, user: true });
      const missed = (await again.take(30 - index)).map(({ id }) => id);
      expect(missed.toSorted()).toEqual(sent.slice(index).toSorted());
      expect(again.lastEventId).toBe(first.lastEventId);
    }
  });

  it("takes since of the URL, and the id that came last before it", async () => {
    const service = await startService();
    for (let n = 0; n < 3; n++) await service.call("POST", "/users/alice/messages", { data: n });
    const path = "/sse?since=earliest";
    const first = await SseClient.welcomed(service.port, "alice", { path });
    expect(offsets(first, [await first.nextText(), await first.nextText()])).toEqual([1, 2]);
    const headers = { "last-event-id": first.ids[2] ?? "" };
    const second = await SseClient.welcomed(service.port, "alice", { path, headers });
    expect(await second.next()).toMatchObject({ data: 2 });
  });

  it.each(["nonsense", "b-abc-1,b-abc-2", "b-abc-1,,u-abc-1", "l-abc-1"])(
    "is refused with 400 behind Last-Event-ID: %s",
    async (lastEventId) => {
      const { port } = await startService();
      const { status } = await SseClient.refused(port, "alice", { headers: { "last-event-id": lastEventId } });
      expect(status).toBe(400);
    },
  );

  it("resumes its user's topics also behind a connection that ended before it was told of them", async () => {
    const service = await startService();
    await service.call("PUT", "/users/alice/topics/news");
    const first = await SseClient.welcomed(service.port, "alice");
    expect(await first.next()).toMatchObject({ type: "subscribed", topic: "news" });
    first.response.destroy();
    const { id } = (await service.call("POST", "/topics/news/messages", { data: 1 })).json;
    const headers = { "last-event-id": first.lastEventId };
    const second = await SseClient.welcomed(service.port, "alice", { headers });
    const [afterWelcome = ""] = second.ids;
    second.response.destroy();
    const third = await SseClient.welcomed(service.port, "alice", { headers: { "last-event-id": afterWelcome } });
    expect(await third.next()).toMatchObject({ type: "subscribed", topic: "news", recovered: true });
    expect(await third.next()).toMatchObject({ id });
  });

  it("leaves its id where it is by what is live only", async () => {
    const { port, call } = await startService();
    const client = await SseClient.welcomed(port, "alice");
    const before = client.lastEventId;
    await call("POST", "/broadcast", { data: 1, ttl: 0 });
    expect(await client.next()).toMatchObject({ id: expect.stringMatching(/^l-/), data: 1 });
    expect(client.lastEventId).toBe(before);
  });

  it.each([
    [`{"z":1,"a":1.0,"n":-0,"big":12345678901234567890.10,"e":1E+2}`, undefined],
    [`"\\n\\r data: \\u2028 🔔"`, undefined],
    [`{\n  "a": [\n\n1,\n2]\n}`, undefined],
    [`{\r\n"a":\r1}`, `{\n"a":\n1}`],
  ])("brings %j as it was sent, with line feeds for other line breaks", async (json, received = json) => {
    const { port, call } = await startService();
    const client = await SseClient.welcomed(port, "alice");
    await call("POST", "/users/alice/messages", `{"data":${json}}`);
    expect(/"data":(.*),"ts":\d+\}$/s.exec(await client.nextText())?.[1]).toBe(received);
  });

  it("is kept alive by comments", async () => {
    const { port, belfry } = await startService({ pingIntervalMs: 40, pongTimeoutMs: 40 });
    const client = await SseClient.welcomed(port, "alice");
    await until(() => client.reader.comments.length > 5);
    expect(client.reader.comments[0]).toBe("ping");
    expect(belfry.hub.size).toBe(1);
  });

  it("is refused as a bad token is: with 401, and what a page of another origin can read", async () => {
    const { port } = await startService();
    const { status, headers, body } = await SseClient.refused(port, undefined, { headers: { origin: "http://a.com" } });
    expect([status, JSON.parse(body).type]).toEqual([401, "urn:belfry:error:unauthorized"]);
    expect(headers).toMatchObject({ "access-control-allow-origin": "http://a.com", vary: "Origin" });
  });

  it("does not begin behind an answer that is awaited, nor with a body, nor for HEAD or POST", async () => {
    const { port, call, belfry } = await startService();
    const head = "HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer alice\r\n";
    const get = `GET /sse ${head}\r\n`;
    const socket = connect(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.resume().write(get + get);
    await until(() => belfry.hub.size === 1);
    await SseClient.welcomed(port, "bob");
    expect(belfry.hub.size).toBe(2);
    expect(await raw(port, `GET /sse ${head}Content-Length: 1\r\nConnection: close\r\n\r\nx`)).toMatch(
      /^HTTP\/1.1 400 /,
    );
    for (const method of ["HEAD", "POST"]) {
      const answer = await call(method, "/sse");
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, OPTIONS"]);
    }
  });

  it("is served to HTTP/1.0, as proxies ask for it", async () => {
    const { port, belfry } = await startService();
    const socket = connect(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    let text = "";
    socket.on("data", (piece) => {
      text += piece;
    });
    socket.write("GET /sse HTTP/1.0\r\nAuthorization: Bearer alice\r\n\r\n");
    await until(() => text.includes('"type":"welcome"'));
    expect(text).not.toContain("chunked");
    await belfry.hub.disconnect("alice");
    await once(socket, "end");
    expect(text).toMatch(/event: close\ndata: {"code":4403,"reason":"disconnected by the API"}\n\n$/);
  });

  it("is on PORT and not on API_PORT", async () => {
    const { port, belfry } = await startService({ apiPort: 0 });
    await SseClient.welcomed(port, "alice");
    expect((await SseClient.refused(belfry.apiPort ?? 0, "alice")).status).toBe(404);
  });
});

it("1,000 streams leave nothing behind", async () => {
  const service = await startService();
  const { belfry, port, call, metric } = service;
  const clients = await Promise.all(Array.from({ length: 1000 }, (_, n) => SseClient.welcomed(port, `u${n % 100}`)));
  expect(await metric('belfry_connections{transport="sse"}')).toBe(1000);
  await call("POST", "/broadcast", { data: 1 });
  for (const client of clients) expect(await client.next()).toMatchObject({ data: 1 });
  for (const client of clients) client.leave();
  await until(() => belfry.hub.size === 0);
  expect(await metric('belfry_connections{transport="sse"}')).toBe(0);
  expect((await call("GET", "/stats")).json.replica).toMatchObject({ connections: 0, users: 0 });
});

describe("POST /sse/:connection", () => {
  const inMemory = async (options?: BelfryOptions): Promise<[Service, Service]> => {
    const service = await startService(options);
    return [service, service];
  };
  const onRedis = async (options?: BelfryOptions) => (await startReplicas(2, options)) as [Service, Service];

  describe.each([
    ["in memory", inMemory],
    ["by the other replica", onRedis],
  ])("%s", (_, start) => {
    it.each([["alice"], ["zoë 🔔"], [undefined]])("takes the frames of %s, and answers on the stream", async (user) => {
      const taken: unknown[] = [];
      const onMessage: BelfryOptions["onMessage"] = ({ data }, client) => taken.push(data, client.user);
      const [one, two] = await start({ allowAnonymous: true, onMessage });
      const flag = user === undefined ? undefined : `u.${Buffer.from(user).toString("base64url")}`;
      const client = await SseClient.welcomed(one.port, flag);
      const answer = await client.post({ type: "message", data: { n: 1 } }, { port: two.port });
      expect([answer.status, await answer.json()]).toEqual([202, {}]);
      expect(taken).toEqual([{ n: 1 }, user ?? null]);
      for (const { logs } of [one, two]) expect(logs.join("")).not.toContain(client.secret.split(".")[0]);
      expect((await client.post({ type: "auth", token: "x", ref: 1 }, { port: two.port })).status).toBe(202);
      expect(await client.next()).toMatchObject({ type: "error", code: "unsupported", ref: 1 });
    });

    it("knows neither another connection nor another secret, and does not tell which", async () => {
      const [one, two] = await start({ allowAnonymous: true, onMessage: () => {} });
      const [alice, bob] = [await SseClient.welcomed(one.port, "alice"), await SseClient.welcomed(one.port, "bob")];
      const frame = { type: "message", data: 1 };
      const path = `/sse/${bob.welcome["connection"]}`;
      const answers = [
        await alice.post(frame, { port: two.port, path }),
        await alice.post(frame, { port: two.port, path: "/sse/nonsense" }),
        await alice.post(frame, { port: two.port, secret: "nonsense" }),
        await alice.post(frame, { port: two.port, secret: alice.secret.replace(/\..*/, "") }),
        await alice.post(frame, { port: two.port, secret: `${"A".repeat(43)}.YWxpY2U` }),
        await alice.post(frame, { port: two.port, secret: "" }),
      ];
      expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404, 404]);
      const details = await Promise.all(answers.map(async (answer) => (await answer.json()) as { detail: string }));
      expect(new Set(details.map(({ detail }) => detail)).size).toBe(1);
      alice.leave();
      await until(() => one.belfry.hub.size === 1);
      expect((await alice.post(frame, { port: two.port })).status).toBe(404);
    });

    it("takes MAX_CLIENT_FRAMES_PER_SECOND, answers more with 429, and the stream goes on", async () => {
      const [one, two] = await start({ maxClientFramesPerSecond: 5 });
      const client = await SseClient.welcomed(one.port, "alice");
      const send = () => client.post({ type: "ack", id: "b-x-1" }, { port: two.port });
      const answers = await Promise.all(Array.from({ length: 30 }, send));
      const refused = answers.filter(({ status }) => status === 429);
      expect(refused.length).toBeGreaterThan(10);
      expect(refused[0]?.headers.get("retry-after")).toBe("1");
      await one.call("POST", "/broadcast", { data: 1 });
      expect(await client.next()).toMatchObject({ data: 1 });
    });
  });

  it.each([
    ["text that is not JSON", "{", {}, 400],
    ["another content type", "{}", { "content-type": "text/plain" }, 415],
    ["a frame that is too large", `"${"x".repeat(6000)}"`, {}, 413],
  ])("refuses %s", async (_, body, headers, status) => {
    const { port } = await startService({ maxPayloadBytes: 1000 });
    const client = await SseClient.welcomed(port, "alice");
    expect((await client.post(body, { headers })).status).toBe(status);
    expect(client.isOpen).toBe(true);
  });

  it("may be called by pages of allowed origins and no others, as their browsers are told beforehand", async () => {
    const { port, call } = await startService({ allowedOrigins: [{ kind: "exact", origin: "https://app.com" }] });
    const client = await SseClient.welcomed(port, "alice", { headers: { origin: "https://app.com" } });
    const headers = client.response.headers;
    expect([headers["access-control-allow-origin"], headers.vary]).toEqual(["https://app.com", "Origin"]);
    expect(headers).not.toHaveProperty("access-control-allow-credentials");
    const frame = { type: "ack", id: "b-x-1" };
    const allowed = await client.post(frame, { headers: { origin: "https://app.com" } });
    expect([allowed.status, allowed.headers.get("access-control-allow-origin")]).toEqual([202, "https://app.com"]);
    const foreign = await client.post(frame, { headers: { origin: "https://evil.com" } });
    expect([foreign.status, foreign.headers.get("access-control-allow-origin")]).toEqual([403, null]);
    for (const path of ["/sse", "/sse/x"]) {
      const preflight = await call("OPTIONS", path, undefined, { origin: "https://app.com" });
      expect([preflight.status, Object.fromEntries(preflight.headers)]).toMatchObject([
        200,
        {
          "access-control-allow-origin": "https://app.com",
          "access-control-allow-headers": "authorization, content-type, last-event-id",
          "access-control-max-age": "7200",
          vary: "Origin",
        },
      ]);
      const other = await call("OPTIONS", path, undefined, { origin: "https://evil.com" });
      expect(other.headers.get("access-control-allow-origin")).toBeNull();
    }
  });
});
