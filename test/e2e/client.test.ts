import { gzipSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { BelfryClient, Message, StateChange } from "../../src/client/index.ts";
import { launchChromium } from "../support/chromium.ts";
import { type Service, startReplicas, startService, until } from "../support/service.ts";
import { startProxy, type TcpProxy } from "../support/tcp-proxy.ts";

/** What the page of a test holds. */
interface Held {
  client: BelfryClient;
  messages: Message[];
  changes: StateChange[];
}

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** Opens a page with a client of alice's that has subscribed to `news`. */
async function openClient(port: number, options: { transports?: ("ws" | "sse")[] } = {}): Promise<Page> {
  const context = await browser.newContext();
  onTestFinished(() => context.close());
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${port}/healthz`);
  await start(page, `${JSON.stringify(options)}`);
  await page.evaluate(`held.client.subscribe("news").ready.then(() => {})`);
  return page;
}

/** Starts a client in a page; `options` is the source of an object. As text, since what runs here imports in another way. */
async function start(page: Page, options: string): Promise<void> {
  await page.evaluate(`(async () => {
    const { BelfryClient } = await import("/client.js");
    const [messages, changes] = [[], []];
    const onMessage = (message) => messages.push(message);
    const onState = (change) => changes.push(change);
    const client = new BelfryClient("/", { user: "alice", onMessage, onState, ...${options} });
    globalThis.held = { client, messages, changes };
  })()`);
}

const look = <T>(page: Page, at: (held: Held) => T) => page.evaluate(`(${at})(globalThis.held)`) as Promise<T>;

/** Publishes to all three streams of the client, again where a replica did not answer. */
async function publish(replicas: readonly Service[], ids: Record<string, string[]>, n: number): Promise<void> {
  for (const [scope, path] of [
    ["broadcast", "/broadcast"],
    ["user", "/users/alice/messages"],
    ["topic", "/topics/news/messages"],
  ] as const) {
    const service = replicas[n % replicas.length] as Service;
    const { status, json } = await service.call("POST", path, { data: n }, { "idempotency-key": `${scope}-${n}` });
    expect(status).toBe(202);
    ids[scope]?.push(json.id);
  }
}

/** Takes the network away and gives it back, while messages go on. */
async function offAndOn(page: Page, proxy: TcpProxy, meanwhile: () => Promise<void>): Promise<void> {
  proxy.stop();
  await meanwhile();
  await until(async () => (await look(page, ({ client }) => client.state)) !== "connected");
  // Tells the page of it, which Chromium does not find out by itself on one machine.
  await page.context().setOffline(true);
  proxy.resume();
  await page.context().setOffline(false);
}

describe("the client in Chromium", () => {
  it("is served as one module of less than 5 kB, gzipped", async () => {
    const { call } = await startService();
    const { status, headers, text } = await call("GET", "/client.js");
    expect([status, headers.get("content-type")]).toEqual([200, "text/javascript; charset=utf-8"]);
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(gzipSync(text, { level: 9 }).length).toBeLessThan(5000);
  });

  it.each([
    { transports: ["ws" as const], rounds: 100 },
    { transports: ["sse" as const], rounds: 20 },
  ])(
    "is given each message once and in order while the network goes off and on, by $transports",
    async ({ transports, rounds }) => {
      const replicas = await startReplicas(2);
      const [one, two] = replicas as [Service, Service];
      const proxy = await startProxy(one.port);
      const page = await openClient(proxy.port, { transports });
      const ids: Record<string, string[]> = { broadcast: [], user: [], topic: [] };
      let published = 0;
      for (let round = 0; round < rounds; round++) {
        await publish(replicas, ids, published++);
        // It comes back to the other replica each time.
        proxy.target = round % 2 === 0 ? two.port : one.port;
        await offAndOn(page, proxy, () => publish(replicas, ids, published++));
        await until(async () => (await look(page, ({ client }) => client.state)) === "connected");
      }
      const total = 3 * published;
      await until(async () => (await look(page, ({ messages }) => messages.length)) >= total, 20_000);
      const seen = await look(page, ({ messages }) => messages.map(({ scope, id }) => ({ scope, id })));
      for (const [scope, expected] of Object.entries(ids)) {
        expect(seen.filter((message) => message.scope === scope).map(({ id }) => id)).toEqual(expected);
      }
      const breaks = await look(page, ({ changes }) => changes.filter(({ state }) => state === "waiting").length);
      expect(breaks).toBeGreaterThanOrEqual(rounds);
    },
  );

  it("connects at once when the network is back, however long it was to wait", async () => {
    const service = await startService();
    const proxy = await startProxy(service.port);
    const page = await openClient(proxy.port, { transports: ["ws"] });
    await page.context().setOffline(true);
    proxy.stop();
    // Several failures, so that the pauses are long by now.
    await until(
      async () =>
        (await look(page, ({ changes }) => changes.filter(({ retryInMs }) => retryInMs !== undefined).length)) > 3,
      30_000,
    );
    proxy.resume();
    const start = performance.now();
    await page.context().setOffline(false);
    await until(async () => (await look(page, ({ client }) => client.state)) === "connected");
    expect(performance.now() - start).toBeLessThan(1500);
  });

  it("resumes after a reload with sessionStorage", async () => {
    const service = await startService();
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const load = async () => {
      await page.goto(`http://127.0.0.1:${service.port}/healthz`);
      await start(page, "{ storage: sessionStorage }");
      await until(async () => (await look(page, ({ client }) => client.state)) === "connected");
    };
    await load();
    await service.call("POST", "/users/alice/messages", { data: 1 });
    await until(async () => (await look(page, ({ messages }) => messages.length)) === 1);
    await page.goto("about:blank");
    await service.call("POST", "/users/alice/messages", { data: 2 });
    await load();
    await until(async () => (await look(page, ({ messages }) => messages.length)) === 1);
    expect(await look(page, ({ messages }) => messages[0]?.data)).toBe(2);
  });
});
