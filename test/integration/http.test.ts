import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { readConfig } from "../../src/config.ts";
import { raw } from "../support/raw-tcp.ts";
import { hush } from "../support/secrets.ts";
import { type Answer, callerOf, type Service, startReplicas, startService } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const keys = (text: string) => {
  const apiKeys = readConfig({ API_KEYS: text }).apiKeys ?? [];
  return { apiKeys: apiKeys.map((key) => ({ ...key, secret: hush(key.secret) })) };
};
const bearer = (key: string) => ({ authorization: `Bearer ${hush(key)}` });

function expectProblem(answer: Answer, status: number, code: string): void {
  expect(answer.status).toBe(status);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(answer.json).toMatchObject({
    type: `urn:belfry:error:${code}`,
    title: expect.any(String),
    status,
    detail: expect.any(String),
  });
  expect(answer.text).not.toMatch(/ at .*\.(ts|js):/);
}

describe("the error table", () => {
  it("answers an unknown path with 404", async () => {
    const { call } = await startService();
    for (const path of ["/", "/nope", "/users", "/users//messages", "/users/a/b/c", "/broadcast/", "/Broadcast"]) {
      expectProblem(await call("GET", path), 404, "not_found");
    }
  });

  it("answers a wrong method with 405 and the methods that are right", async () => {
    const { call } = await startService();
    const allowed = {
      "/broadcast": "POST, GET, HEAD",
      "/users/a": "GET, HEAD",
      "/users/a/connections": "DELETE",
      "/batch": "POST",
    };
    for (const [path, allow] of Object.entries(allowed)) {
      for (const method of ["PUT", "PATCH", "OPTIONS"]) {
        const answer = await call(method, path);
        expectProblem(answer, 405, "method_not_allowed");
        expect(answer.headers.get("allow")).toBe(allow);
      }
    }
  });

  it("answers what is not JSON by its type with 415", async () => {
    const { call } = await startService();
    const types = ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=latin1", "json"];
    for (const type of types) {
      expectProblem(
        await call("POST", "/broadcast", '{"data":1}', { "content-type": type }),
        415,
        "unsupported_media_type",
      );
    }
    const packed = { "content-encoding": "gzip" };
    expectProblem(await call("POST", "/broadcast", '{"data":1}', packed), 415, "unsupported_media_type");
  });

  it("takes the JSON types and UTF-8 by name", async () => {
    const { call } = await startService();
    const types = [
      "application/json",
      "application/json; charset=utf-8",
      "Application/JSON;charset=UTF-8",
      "application/x+json",
    ];
    for (const type of types) {
      expect((await call("POST", "/broadcast", '{"data":1}', { "content-type": type })).status).toBe(202);
    }
  });

  it.each(["", "{", '{"data":1}}', '{"data":01}', "{'data':1}", '\ufeff{"data":1}', '{"data":"\u0001"}'])(
    "answers %j, which is not JSON, with 400",
    async (body) => {
      const { call } = await startService();
      expectProblem(await call("POST", "/broadcast", body), 400, "malformed");
    },
  );

  it.each([
    ['{"data": nope}', "Unexpected token 'o'"],
    ['{"data": {"secret": 1}', "Expected ',' or '}' after property value in JSON at position 22 (line 1 column 23)"],
    ["", "Unexpected end of JSON input"],
  ])("says what is wrong with %j, and does not quote it", async (body, reason) => {
    const { call } = await startService();
    expect((await call("POST", "/broadcast", body)).json.detail).toBe(`the body is not JSON: ${reason}`);
  });

  it("answers a body that is not UTF-8 with 400", async () => {
    const { port } = await startService();
    const body = Buffer.from([...Buffer.from('{"data":"'), 0xff, ...Buffer.from('"}')]);
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`http://127.0.0.1:${port}/broadcast`, { method: "POST", headers, body });
    expect(answer.status).toBe(400);
  });

  it("answers a path that is not percent-encoded UTF-8 with 400", async () => {
    const { call } = await startService();
    for (const path of ["/users/%", "/users/%ff/messages", "/users/%zz/connections"]) {
      expectProblem(await call("GET", path), 400, "malformed");
    }
  });

  it("takes a target that is a whole URL, and answers one that is no URL with 400", async () => {
    const { port } = await startService();
    const get = (target: string) => raw(port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    expect(await get("http://other:1/users/alice?x=1")).toMatch(/^HTTP\/1.1 200 .*"user":"alice"/s);
    expect(await get("HTTP://other/nope")).toMatch(/^HTTP\/1.1 404 .*not_found/s);
    for (const target of ["http://[::/broadcast", "ftp://other/broadcast"]) {
      expect(await get(target)).toMatch(/^HTTP\/1.1 400 .*application\/problem\+json.*malformed/s);
    }
    const body = 'Content-Type: application/json\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{"data":1}';
    expect(await raw(port, `POST http://a/broadcast HTTP/1.1\r\nHost: a\r\n${body}`)).toMatch(/^HTTP\/1.1 202 /);
  });

  it("never answers out of turn what comes behind a request that is not answered yet", async () => {
    const { port } = await startService();
    const request = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
    for (const next of ["nonsense\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"]) {
      expect(await raw(port, request + next)).toBe("");
    }
  });

  it.each([
    ["{}", ["data"]],
    ["[]", [""]],
    ["null", [""]],
    ["1", [""]],
    ['{"data":1,"event":""}', ["event"]],
    ['{"data":1,"event":7,"ttl":-1,"collapse":""}', ["event", "ttl", "collapse"]],
    ['{"data":1,"ttl":"5"}', ["ttl"]],
    ['{"data":1,"ttl":1e99}', ["ttl"]],
    ['{"data":1,"tll":5}', ["tll"]],
    ['{"__proto__":{"data":1}}', ["data", "__proto__"]],
    [`{"data":1,"collapse":"${"x".repeat(129)}"}`, ["collapse"]],
  ])("answers %s with 422 and the places that are wrong", async (body, paths) => {
    const { call } = await startService();
    const answer = await call("POST", "/broadcast", body);
    expectProblem(answer, 422, "invalid");
    expect(answer.json.errors.map(({ path }: { path: string }) => path)).toEqual(paths);
    expect(answer.json.errors.every(({ message }: { message: string }) => message.length > 0)).toBe(true);
  });

  it("answers a user id that is too long with 422", async () => {
    const { call } = await startService();
    const answer = await call("POST", `/users/${"a".repeat(129)}/messages`, { data: 1 });
    expectProblem(answer, 422, "invalid");
    expect(answer.json.errors[0].path).toBe("id");
    expect((await call("POST", `/users/${encodeURIComponent("🔔".repeat(128))}/messages`, { data: 1 })).status).toBe(
      202,
    );
  });

  it("answers data over MAX_PAYLOAD_BYTES with 413, counted in bytes, and takes what just fits", async () => {
    const { call } = await startService({ maxPayloadBytes: 100 });
    expect((await call("POST", "/broadcast", `{"data":"${"x".repeat(98)}"}`)).status).toBe(202);
    expectProblem(await call("POST", "/broadcast", `{"data":"${"x".repeat(99)}"}`), 413, "too_large");
    expect((await call("POST", "/broadcast", `{"data":"${"é".repeat(49)}"}`)).status).toBe(202);
    expectProblem(await call("POST", "/broadcast", `{"data":"${"é".repeat(50)}"}`), 413, "too_large");
  });

  it("answers a body that is far too large with 413 while it is still being sent", async () => {
    const { call, port } = await startService({ maxPayloadBytes: 100 });
    expectProblem(await call("POST", "/broadcast", `{"data":"${"x".repeat(5_000_000)}"}`), 413, "too_large");
    const chunked = new ReadableStream({
      start(controller) {
        for (let n = 0; n < 100; n++) controller.enqueue(Buffer.alloc(10_000, " "));
        controller.close();
      },
    });
    const headers = { "content-type": "application/json" };
    const options = { method: "POST", headers, body: chunked, duplex: "half" } as RequestInit;
    expect((await fetch(`http://127.0.0.1:${port}/broadcast`, options)).status).toBe(413);
  });

  it("answers without a valid key with 401, without the right with 403", async () => {
    const { call } = await startService(keys("all,ops:s2:read,pub:s3:publish+read"));
    for (const headers of [{}, bearer("wrong"), bearer("al"), bearer("ops"), { authorization: "Basic YTpi" }]) {
      const answer = await call("POST", "/broadcast", { data: 1 }, headers);
      expectProblem(answer, 401, "unauthorized");
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    }
    expectProblem(await call("POST", "/broadcast", { data: 1 }, bearer("s2")), 403, "forbidden");
    expectProblem(await call("DELETE", "/users/a/connections", undefined, bearer("s3")), 403, "forbidden");
    for (const key of ["all", "s3"])
      expect((await call("POST", "/broadcast", { data: 1 }, bearer(key))).status).toBe(202);
    expect((await call("GET", "/users/a", undefined, bearer("s2"))).status).toBe(200);
    expect((await call("DELETE", "/users/a/connections", undefined, bearer("all"))).status).toBe(200);
  });

  it("answers publishes over MAX_PUBLISHES_PER_SECOND with 429, each key on its own", async () => {
    const { call } = await startService({ ...keys("a:s1,b:s2"), maxPublishesPerSecond: 3 });
    const publish = (key: string) => call("POST", "/broadcast", { data: 1 }, bearer(key));
    for (let n = 0; n < 3; n++) expect((await publish("s1")).status).toBe(202);
    const answer = await publish("s1");
    expectProblem(answer, 429, "too_many");
    expect(answer.headers.get("retry-after")).toBe("1");
    expect((await publish("s2")).status).toBe(202);
    const batch = { messages: [1, 2, 3].map((data) => ({ to: "broadcast", data })) };
    expectProblem(await call("POST", "/batch", batch, bearer("s2")), 429, "too_many");
  });

  it("counts nothing against a key for a batch that is refused", async () => {
    const { call } = await startService({ ...keys("a:s1"), maxPublishesPerSecond: 1 });
    const messages = Array.from({ length: 5000 }, () => 1);
    expectProblem(await call("POST", "/batch", { messages }, bearer("s1")), 422, "invalid");
    expect((await call("POST", "/broadcast", { data: 1 }, bearer("s1"))).status).toBe(202);
  });

  it("answers 503 with Retry-After while Redis cannot be reached, and says why", async () => {
    const { call, port, metric } = await startService({ redisUrl: `redis://:${hush("sesame")}@127.0.0.1:1` });
    const start = Date.now();
    const calls: [string, string, unknown?][] = [
      ["POST", "/broadcast", { data: 1 }],
      ["POST", "/users/a/messages", { data: 1 }],
      ["POST", "/batch", { messages: [{ to: "broadcast", data: 1 }] }],
      ["GET", "/users/a"],
      ["DELETE", "/users/a/connections"],
      ["GET", "/stats"],
      ["GET", "/readyz"],
    ];
    for (const [method, path, body] of calls) {
      const answer = await call(method, path, body);
      expectProblem(answer, 503, "unavailable");
      expect(answer.headers.get("retry-after")).toBe("1");
      expect(answer.text).not.toContain("sesame");
    }
    expect(Date.now() - start).toBeLessThan(3000);
    expect((await call("GET", "/healthz")).status).toBe(200);
    expect(await metric("belfry_broker_up")).toBe(0);
    await expect(TestClient.open(port, "alice")).rejects.toThrow("503");
  });

  it.each([
    ["HTTP/1.1 without Host", "GET /healthz HTTP/1.1\r\n", 400],
    ["an expectation that it cannot meet", "GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n", 417],
    ["CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n", 405],
  ])("answers %s with a problem", async (_, head, status) => {
    const { port } = await startService();
    const answer = await raw(port, `${head}Connection: close\r\n\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain("application/problem+json");
  });

  it("lives on when those that it refuses reset their connections at once", async () => {
    const { port, call } = await startService();
    for (let n = 0; n < 50; n++) {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      socket.write("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", () => void socket.resetAndDestroy());
      await once(socket, "close");
    }
    expect((await call("GET", "/healthz")).status).toBe(200);
  });

  it("ignores an upgrade to a protocol that it does not speak", async () => {
    const { port } = await startService();
    const headers = {
      connection: "Upgrade, HTTP2-Settings",
      upgrade: "h2c",
      "http2-settings": "AAMAAABkAAQAoAAAAAIAAAAA",
    };
    const answer = await new Promise<IncomingMessage>((resolve) => get({ port, path: "/healthz", headers }, resolve));
    answer.resume();
    expect(answer.statusCode).toBe(200);
  });

  it("answers a body that does not arrive in full by hanging up, and works on", async () => {
    const { port, call } = await startService();
    const socket = connect(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.write(
      "POST /broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    );
    await once(socket, "ready");
    socket.destroy();
    expect((await call("POST", "/broadcast", { data: 1 })).status).toBe(202);
  });

  it("names the request in the answer, by the caller's name where it has one", async () => {
    const { call, logs } = await startService();
    const answer = await call("POST", "/broadcast", { data: 1 }, { "x-request-id": "order-17" });
    expect(answer.headers.get("x-request-id")).toBe("order-17");
    expect(logs.find((line) => line.includes("order-17"))).toContain(answer.json.id);
    expect(
      (await call("GET", "/healthz", undefined, { "x-request-id": "bad id" })).headers.get("x-request-id"),
    ).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("publishing", () => {
  it("sends a broadcast to everyone and a user's message to every connection of the user and no one else", async () => {
    const { port, call } = await startService();
    const [tab, phone, bob] = [
      await TestClient.welcomed(port, "alice"),
      await TestClient.welcomed(port, ["belfry.v1", "alice"]),
      await TestClient.welcomed(port, "bob"),
    ];
    const message = await call("POST", "/users/alice/messages", { data: { n: 1 }, event: "mail" });
    expect(message.json).toEqual({ id: expect.stringMatching(/^u-[0-9a-z]+-1$/), receivers: 2 });
    const broadcast = await call("POST", "/broadcast", { data: "all" });
    expect(broadcast.json).toEqual({ id: expect.stringMatching(/^b-[0-9a-z]+-1$/), receivers: 3 });
    const { id } = message.json;
    for (const client of [tab, phone]) {
      expect(await client.next()).toEqual({
        type: "message",
        id,
        scope: "user",
        event: "mail",
        data: { n: 1 },
        ts: expect.any(Number),
      });
    }
    for (const client of [tab, phone, bob]) expect(await client.next()).toMatchObject({ id: broadcast.json.id });
  });

  it("has no receivers for a user who is offline, and stores all the same", async () => {
    const { call, port } = await startService();
    const { json } = await call("POST", "/users/alice/messages", { data: 1 });
    expect(json.receivers).toBe(0);
    const { welcome } = await TestClient.welcomed(port, "alice");
    expect(welcome["positions"]).toMatchObject({ user: json.id });
  });

  it("reaches users whatever their ids hold", async () => {
    const { port, call } = await startService();
    for (const user of ["ä@b.com", "a/b", "a b", "u.x", "%41", "日本", "a?b#c", "..", "belfry.v1"]) {
      const client = await TestClient.welcomed(port, ["belfry.v1", `u.${Buffer.from(user).toString("base64url")}`]);
      expect(client.welcome["user"]).toBe(user);
      const path = user === ".." ? "/users/%2E%2E/messages" : `/users/${encodeURIComponent(user)}/messages`;
      // URL parsers resolve dots however they are written, so this one cannot be asked for by fetch.
      if (user === "..") continue;
      expect((await call("POST", path, { data: 1 })).json.receivers).toBe(1);
      expect(await client.next()).toMatchObject({ scope: "user", data: 1 });
    }
  });

  it.each([
    "12345678901234567890123456789",
    "-0.0",
    "1E+2",
    '{"b":1,"a":2,"b":3}',
    '{"__proto__":{"x":1},"constructor":null}',
    '{ "a" : [ 1 ,\n 2 ] }',
    '"\\u00e4\\ud800 \\/ é \u2028"',
    "null",
    '""',
    "false",
    "[]",
    `${"[".repeat(3000)}${"]".repeat(3000)}`,
  ])("carries %s exactly as it was sent", async (data) => {
    const { port, call } = await startService();
    const client = await TestClient.welcomed(port, "alice");
    for (const body of [`{"data":${data}}`, `{"event":"e","data" : ${data} ,"ttl":9}`]) {
      expect((await call("POST", "/users/alice/messages", body)).status).toBe(202);
      const text = await client.nextText();
      expect(text).toContain(`"data":${data},"ts":`);
    }
    await call(
      "POST",
      "/batch",
      `{"messages":[{"data":${data},"to":"broadcast"} , {"to":{"user":"alice"},"data":${data}}]}`,
    );
    for (let n = 0; n < 2; n++) expect(await client.nextText()).toContain(`"data":${data},"ts":`);
  });

  it("sends a message with ttl 0 live only", async () => {
    const { port, call } = await startService();
    const client = await TestClient.welcomed(port, "alice");
    const live = await call("POST", "/users/alice/messages", { data: 1, ttl: 0 });
    expect(live.json.id).toMatch(/^l-/);
    const stored = await call("POST", "/users/alice/messages", { data: 2 });
    expect(stored.json.id).toMatch(/^u-[0-9a-z]+-1$/);
    expect((await client.take(2)).map(({ id }) => id)).toEqual([live.json.id, stored.json.id]);
  });

  it("delivers 500 concurrent publishes to one user in offset order without a hole", async () => {
    const { port, call } = await startService();
    const client = await TestClient.welcomed(port, "alice");
    const sent = await Promise.all(
      Array.from({ length: 500 }, (_, data) => call("POST", "/users/alice/messages", { data })),
    );
    expect(sent.every(({ status }) => status === 202)).toBe(true);
    const offsets = (await client.take(500)).map(({ id }) => Number(String(id).split("-")[2]));
    expect(offsets).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
  });

  it("counts publishes, deliveries and their time", async () => {
    const { port, call, metric } = await startService();
    const clients = [await TestClient.welcomed(port, "alice"), await TestClient.welcomed(port, "bob")];
    await call("POST", "/broadcast", { data: 1 });
    for (const client of clients) await client.next();
    await call("POST", "/broadcast", { data: 1, event: "" });
    expect(await metric('belfry_publishes_total{scope="broadcast",result="accepted"}')).toBe(1);
    expect(await metric('belfry_deliveries_total{scope="broadcast"}')).toBe(2);
    expect(await metric("belfry_delivery_seconds_count")).toBe(2);
    expect(await metric('belfry_connections{transport="ws"}')).toBe(2);
    expect(await metric("belfry_users")).toBe(2);
    const labels = 'route="/broadcast",method="POST",status="422"';
    expect(await metric(`belfry_http_request_seconds_count{${labels}}`)).toBe(1);
  });
});

describe("a batch", () => {
  it("answers each message in order, and one that is wrong does not keep the others back", async () => {
    const { port, call } = await startService({ maxPayloadBytes: 100 });
    const client = await TestClient.welcomed(port, "alice");
    const { status, json } = await call("POST", "/batch", {
      messages: [
        { to: { user: "alice" }, data: 1 },
        { to: { user: "" }, data: 2 },
        { to: "broadcast" },
        { to: { topic: "t" }, data: 4 },
        { to: "broadcast", data: "x".repeat(200) },
        { to: "everyone", data: 5 },
        "nonsense",
        { to: "broadcast", data: 6 },
      ],
    });
    expect(status).toBe(202);
    expect(json.results).toEqual([
      { id: expect.stringMatching(/^u-/), receivers: 1 },
      { error: expect.objectContaining({ status: 422 }) },
      { error: expect.objectContaining({ status: 422, errors: [{ path: "data", message: "required" }] }) },
      { id: expect.stringMatching(/^t-/), receivers: 0 },
      { error: expect.objectContaining({ status: 413 }) },
      { error: expect.objectContaining({ status: 422 }) },
      { error: expect.objectContaining({ status: 422 }) },
      { id: expect.stringMatching(/^b-/), receivers: 1 },
    ]);
    expect((await client.take(2)).map(({ data }) => data)).toEqual([1, 6]);
  });

  it("takes 1,000 messages and no more", async () => {
    const { call } = await startService();
    const batch = (count: number) => ({
      messages: Array.from({ length: count }, (_, data) => ({ to: "broadcast", data })),
    });
    const { json } = await call("POST", "/batch", batch(1000));
    expect(json.results.map(({ id }: { id: string }) => Number(id.split("-")[2]))).toEqual(
      Array.from({ length: 1000 }, (_, index) => index + 1),
    );
    expectProblem(await call("POST", "/batch", batch(1001)), 422, "invalid");
    expect((await call("POST", "/batch", batch(0))).json).toEqual({ results: [] });
  });

  it.each(["{}", "[]", '{"messages":{}}', '{"messages":[],"x":1}', "null"])("refuses %s as a whole", async (body) => {
    const { call } = await startService();
    expectProblem(await call("POST", "/batch", body), 422, "invalid");
  });
});

describe("users", () => {
  it("shows who is online, where, and who is not", async () => {
    const { port, call } = await startService();
    expect((await call("GET", "/users/alice")).json).toEqual({ user: "alice", online: false, connections: [] });
    const { welcome } = await TestClient.welcomed(port, "alice");
    const { json } = await call("GET", "/users/alice");
    expect(json).toMatchObject({ user: "alice", online: true });
    expect(json.connections).toEqual([
      {
        connection: welcome["connection"],
        replica: expect.any(String),
        transport: "ws",
        connectedAt: expect.any(Number),
        remote: "127.0.0.1",
      },
    ]);
  });

  it("believes X-Forwarded-For as far as TRUST_PROXY says", async () => {
    const headers = { "x-forwarded-for": "203.0.113.9, 198.51.100.7" };
    const remoteWith = async (trustProxy: string) => {
      const { port, call } = await startService({ trustProxy: readConfig({ TRUST_PROXY: trustProxy }).trustProxy });
      await TestClient.welcomed(port, "alice", { headers });
      return (await call("GET", "/users/alice")).json.connections[0].remote;
    };
    expect(await remoteWith("false")).toBe("127.0.0.1");
    expect(await remoteWith("1")).toBe("198.51.100.7");
    expect(await remoteWith("2")).toBe("203.0.113.9");
    expect(await remoteWith("127.0.0.0/8")).toBe("198.51.100.7");
  });

  it("closes all connections of a user with 4403, and nobody else's", async () => {
    const { port, call, metric } = await startService();
    const [one, two] = [await TestClient.welcomed(port, "alice"), await TestClient.welcomed(port, "alice")];
    const bob = await TestClient.welcomed(port, "bob");
    expect((await call("DELETE", "/users/alice/connections")).json).toEqual({ closed: 2 });
    expect((await call("GET", "/users/alice")).json.online).toBe(false);
    for (const client of [one, two]) expect(await client.closed).toMatchObject({ code: 4403 });
    expect((await call("DELETE", "/users/alice/connections")).json).toEqual({ closed: 0 });
    await call("POST", "/broadcast", { data: 1 });
    expect(await bob.next()).toMatchObject({ data: 1 });
    expect(await metric('belfry_dropped_connections_total{reason="forbidden"}')).toBe(2);
  });

  it("rejects a user's connection over the limit with 4429, or replaces the oldest with 4409", async () => {
    const rejecting = await startService({ maxConnectionsPerUser: 1 });
    const kept = await TestClient.welcomed(rejecting.port, "alice");
    const rejected = await TestClient.open(rejecting.port, "alice");
    expect((await rejected.closed).code).toBe(4429);
    await TestClient.welcomed(rejecting.port, "bob");
    await rejecting.call("POST", "/users/alice/messages", { data: 1 });
    expect(await kept.next()).toMatchObject({ data: 1 });

    const replacing = await startService({ maxConnectionsPerUser: 1, overLimit: "replace" });
    const old = await TestClient.welcomed(replacing.port, "alice");
    const newer = await TestClient.welcomed(replacing.port, "alice");
    expect((await old.closed).code).toBe(4409);
    expect((await replacing.call("POST", "/users/alice/messages", { data: 1 })).json.receivers).toBe(1);
    expect(await newer.next()).toMatchObject({ data: 1 });
  });
});

describe("operations", () => {
  it("counts connections, users and topics of this replica and of the whole", async () => {
    const [one, two] = (await startReplicas(2)) as [Service, Service];
    for (const { port } of [one, one, two]) await TestClient.welcomed(port, "alice");
    const { json } = await one.call("GET", "/stats");
    expect(json.replica).toMatchObject({ connections: 2, users: 1, topics: 0 });
    expect(json.total).toEqual({ replicas: 2, connections: 3, users: 2, topics: 0 });
    expect(json.replicas).toHaveLength(2);
  });

  it("serves the API on API_PORT alone when it is set, and the WebSocket and health on PORT alone", async () => {
    const { belfry, call, port } = await startService({ apiPort: 0 });
    const api = callerOf(belfry.apiPort ?? 0);
    for (const path of ["/metrics", "/openapi.json", "/stats", "/users/a"]) {
      expect((await call("GET", path)).status).toBe(404);
      expect((await api("GET", path)).status).toBe(200);
    }
    expect((await call("POST", "/broadcast", { data: 1 })).status).toBe(404);
    for (const path of ["/healthz", "/readyz"]) {
      expect((await call("GET", path)).status).toBe(200);
      expect((await api("GET", path)).status).toBe(404);
    }
    const client = await TestClient.welcomed(port, "alice");
    expect((await api("POST", "/users/alice/messages", { data: 1 })).json.receivers).toBe(1);
    await client.next();
    await expect(TestClient.open(belfry.apiPort ?? 0, "alice")).rejects.toThrow("404");
  });

  it("exposes every metric of the contract, and no user id or path in a label", async () => {
    const { port, call } = await startService();
    await TestClient.welcomed(port, "alice-the-secret");
    await call("POST", "/users/alice-the-secret/messages", { data: 1 });
    await call("GET", "/some/raw/path");
    const { text, headers } = await call("GET", "/metrics");
    expect(headers.get("content-type")).toContain("text/plain");
    for (const name of contractMetrics) expect(text).toContain(`# TYPE ${name} `);
    expect(text).toContain("process_cpu_seconds_total");
    expect(text).not.toMatch(/alice|raw/);
  });

  it("keeps tokens, keys and data out of the logs", async () => {
    const { port, call, logs } = await startService({ ...keys("k:open-sesame"), logLevel: "trace" });
    await TestClient.welcomed(port, ["belfry.v1", "flag-of-alice"], { headers: { cookie: "sid=cookie-monster" } });
    await call("POST", "/users/alice/messages", { data: "very-private" }, bearer("open-sesame"));
    await call("POST", "/users/alice/messages", '{"data": very-private', bearer("open-sesame"));
    await call("POST", "/broadcast", { data: "very-private" }, bearer("not-sesame"));
    expect(logs.length).toBeGreaterThan(3);
    expect(logs.join("")).not.toMatch(/sesame|flag-of|monster|very-private/);
  });

  it("answers HEAD where it answers GET", async () => {
    const { call } = await startService();
    for (const path of ["/healthz", "/stats", "/metrics"]) {
      expect(await call("HEAD", path)).toMatchObject({ status: 200, text: "" });
    }
  });
});

const contractMetrics = [
  "belfry_connections",
  "belfry_users",
  "belfry_subscriptions",
  "belfry_publishes_total",
  "belfry_deliveries_total",
  "belfry_delivery_seconds",
  "belfry_dropped_connections_total",
  "belfry_resumes_total",
  "belfry_broker_up",
  "belfry_broker_seconds",
  "belfry_capacity_ratio",
  "belfry_http_request_seconds",
];
