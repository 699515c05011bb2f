import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { launchChromium, openPage } from "../support/chromium.ts";
import { type Service, startService, until } from "../support/service.ts";

/** What a client saw of its connection; lives where the client lives. */
interface Seen {
  readonly ws: WebSocket;
  readonly frames: string[];
  closed?: { code: number; reason: string; wasClean: boolean };
}

/** A WebSocket of a client other than the tests' own. */
interface Remote {
  /** Calls a function where the WebSocket is; it can use nothing but its argument. */
  on<T>(look: (seen: Seen) => T): Promise<T>;
}

interface Client {
  readonly name: string;
  connect(service: Service, protocols: string | string[]): Promise<Remote>;
}

/** Runs in the page and in Node alike. */
function open({ url, protocols }: { url: string; protocols: string | string[] }): Seen {
  const seen: Seen = { ws: new WebSocket(url, protocols), frames: [] };
  seen.ws.onmessage = ({ data }) => seen.frames.push(data as string);
  seen.ws.onclose = ({ code, reason, wasClean }) => {
    seen.closed = { code, reason, wasClean };
  };
  return seen;
}

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

async function connectFrom(pageUrl: string, { port }: Service, protocols: string | string[]): Promise<Remote> {
  const page = await openPage(browser, pageUrl);
  const seen = await page.evaluateHandle(open, { url: `ws://127.0.0.1:${port}/ws`, protocols });
  // The handle's own type drops what a page cannot pass out; the function runs inside, where everything is there.
  return { on: (look) => seen.evaluate(look as (seen: unknown) => ReturnType<typeof look>) };
}

const chromium: Client = {
  name: "a page in Chromium",
  connect: (service, protocols) => connectFrom(`http://127.0.0.1:${service.port}/healthz`, service, protocols),
};

const node: Client = {
  name: "Node's own WebSocket",
  connect: async ({ port }, protocols) => {
    const seen = open({ url: `ws://127.0.0.1:${port}/ws`, protocols });
    onTestFinished(() => seen.ws.close());
    return { on: async (look) => look(seen) };
  },
};

/** `u.` and the unpadded base64url of the UTF-8 of a user id. */
function encoded(user: string): string {
  return `u.${Buffer.from(user).toString("base64url")}`;
}

async function framesOf(remote: Remote, count: number): Promise<Record<string, unknown>[]> {
  await until(async () => (await remote.on(({ frames }) => frames.length)) >= count);
  return (await remote.on(({ frames }) => frames)).map((text) => JSON.parse(text) as Record<string, unknown>);
}

async function closeOf(remote: Remote): Promise<Seen["closed"]> {
  await until(() => remote.on(({ closed }) => closed !== undefined));
  return remote.on(({ closed }) => closed);
}

/** The WebSocket of Node 22 reports a refused handshake with an error event alone, without the close that should follow. */
const closesWhenRefused = Number(process.versions.node.split(".")[0]) >= 24;

describe.each([chromium, node])("$name", ({ name, connect }) => {
  test.each([
    { offer: "a plain flag", protocols: "alice", user: "alice", selected: "alice" },
    { offer: "belfry.v1 and a flag", protocols: ["belfry.v1", "alice"], user: "alice", selected: "belfry.v1" },
    { offer: "a flag and belfry.v1", protocols: ["alice", "belfry.v1"], user: "alice", selected: "belfry.v1" },
    {
      offer: "an e-mail address",
      protocols: ["belfry.v1", encoded("ada@example.com")],
      user: "ada@example.com",
      selected: "belfry.v1",
    },
    {
      offer: "a name that is not ASCII",
      protocols: encoded("Zoë 鐘楼 🔔"),
      user: "Zoë 鐘楼 🔔",
      selected: encoded("Zoë 鐘楼 🔔"),
    },
  ])("connects with $offer", async ({ protocols, user, selected }) => {
    const service = await startService();

    const remote = await connect(service, protocols);

    expect(await framesOf(remote, 1)).toMatchObject([{ type: "welcome", user }]);
    expect(await remote.on(({ ws }) => ws.protocol)).toBe(selected);
    expect(await remote.on(({ ws }) => ws.extensions)).toBe("");
    expect((await service.call("GET", `/users/${encodeURIComponent(user)}`)).json).toMatchObject({ online: true });
  });

  test.runIf(name === chromium.name || closesWhenRefused)("sees a refused handshake as 1006", async () => {
    const remote = await connect(await startService(), []);

    expect(await closeOf(remote)).toEqual({ code: 1006, reason: "", wasClean: false });
    expect(await remote.on(({ frames }) => frames)).toEqual([]);
  });

  test("connects without a name where anonymous clients are allowed", async () => {
    const remote = await connect(await startService({ allowAnonymous: true }), "belfry.v1");

    expect(await framesOf(remote, 1)).toMatchObject([{ type: "welcome", user: null }]);
    expect(await remote.on(({ ws }) => ws.protocol)).toBe("belfry.v1");
  });

  test("gets compressed messages, and sends compressed ones", async () => {
    const received: unknown[] = [];
    const service = await startService({ compression: true, onMessage: ({ data }) => void received.push(data) });
    const remote = await connect(service, "alice");
    await framesOf(remote, 1);
    expect(await remote.on(({ ws }) => ws.extensions)).toContain("permessage-deflate");

    const texts = ["🔔 ".repeat(500), "small", "<p>hello</p>".repeat(5000)];
    for (const text of texts) await service.belfry.hub.broadcast(text);

    expect((await framesOf(remote, 4)).slice(1).map(({ data }) => data)).toEqual(texts);
    await remote.on(({ ws }) => ws.send(JSON.stringify({ type: "message", data: "again ".repeat(500) })));
    await until(() => received.length > 0);
    expect(received).toEqual(["again ".repeat(500)]);
  });

  test("gets broadcasts and the messages of its user, on every connection, and nobody else's", async () => {
    const service = await startService();
    const zoe = encoded("zoë@example.com");
    const [first, second, bob] = await Promise.all([
      connect(service, ["belfry.v1", zoe]),
      connect(service, zoe),
      connect(service, "bob"),
    ]);
    for (const remote of [first, second, bob]) await framesOf(remote, 1);

    const secret = await service.call("POST", "/users/zo%C3%AB@example.com/messages", { data: "psst", event: "hint" });
    const noon = await service.call("POST", "/broadcast", { data: { bell: 12 } });

    expect([secret.status, noon.status]).toEqual([202, 202]);
    const hint = { type: "message", id: secret.json.id, scope: "user", event: "hint", data: "psst" };
    const bell = { type: "message", id: noon.json.id, scope: "broadcast", data: { bell: 12 } };
    for (const remote of [first, second]) {
      expect((await framesOf(remote, 3)).slice(1)).toMatchObject([hint, bell]);
    }
    expect((await framesOf(bob, 2)).slice(1)).toMatchObject([bell]);
  });

  test.each([
    String.raw`"\u0000\u2028\ud83d\ude00 \"</script>\\ \ud800"`,
    `"line\u2028line, 🔔, e\u0301 and \u202eright to left"`,
    `{"z":1,"a":1.0,"n":-0,"big":12345678901234567890.10,"e":1E+2,"":null,"__proto__":{"a":[]}}`,
    `[ ]`,
    `null`,
    `"${"x".repeat(65_000)}"`,
  ])("gets data as it was sent: %.60s", async (json) => {
    const service = await startService();
    const remote = await connect(service, "alice");
    await framesOf(remote, 1);

    const { status } = await service.call("POST", "/users/alice/messages", `{"data":${json}}`);

    expect(status).toBe(202);
    await framesOf(remote, 2);
    const [, text = ""] = await remote.on(({ frames }) => frames);
    expect(/"data":(.*),"ts":\d+\}$/s.exec(text)?.[1]).toBe(json);
  });

  test("sees a flood in order, without a gap", async () => {
    const service = await startService();
    const remote = await connect(service, "alice");
    await framesOf(remote, 1);
    const count = 1000;
    const messages = Array.from({ length: count }, (_, data) => ({ to: { user: "alice" }, data }));

    const { status } = await service.call("POST", "/batch", JSON.stringify({ messages }));

    expect(status).toBe(202);
    const frames = (await framesOf(remote, 1 + count)).slice(1);
    expect(frames.map(({ data }) => data)).toEqual(messages.map(({ data }) => data));
  });

  test("sees 1003 after a binary frame", async () => {
    const remote = await connect(await startService(), "alice");
    await framesOf(remote, 1);

    await remote.on(({ ws }) => ws.send(new Uint8Array([1, 2, 3])));

    expect(await closeOf(remote)).toEqual({
      code: 1003,
      reason: "binary frames are not supported; send JSON text",
      wasClean: true,
    });
  });

  test("sees 1009 after a frame that is too large", async () => {
    const remote = await connect(await startService({ maxPayloadBytes: 1000 }), "alice");
    await framesOf(remote, 1);

    await remote.on(({ ws }) => ws.send("x".repeat(1001)));

    expect(await closeOf(remote)).toMatchObject({ code: 1009, wasClean: true });
  });

  test("sees 4403 on each connection when its user is disconnected, and may come back", async () => {
    const service = await startService();
    const remotes = await Promise.all([connect(service, "alice"), connect(service, ["belfry.v1", "alice"])]);
    for (const remote of remotes) await framesOf(remote, 1);

    const { json } = await service.call("DELETE", "/users/alice/connections");

    expect(json).toEqual({ closed: 2 });
    for (const remote of remotes) {
      expect(await closeOf(remote)).toEqual({ code: 4403, reason: "disconnected by the API", wasClean: true });
    }
    const again = await connect(service, "alice");
    expect(await framesOf(again, 1)).toMatchObject([{ type: "welcome", user: "alice" }]);
  });

  test("sees 1001 with the window when the service goes", async () => {
    const service = await startService();
    const remote = await connect(service, "alice");
    await framesOf(remote, 1);

    await service.belfry.close();

    expect(await closeOf(remote)).toEqual({ code: 1001, reason: "0", wasClean: true });
  });
});

test("a page of a foreign origin is refused, one of an allowed origin is let in", async () => {
  const pages = await startService();
  const service = await startService({
    allowedOrigins: [{ kind: "exact", origin: `http://localhost:${pages.port}` }],
  });
  const from = (host: string) => connectFrom(`http://${host}:${pages.port}/healthz`, service, "alice");

  expect(await closeOf(await from("127.0.0.1"))).toMatchObject({ code: 1006 });
  expect(await framesOf(await from("localhost"), 1)).toMatchObject([{ type: "welcome", user: "alice" }]);
});
