import type { Browser, JSHandle, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, openPage } from "../support/chromium.ts";
import { type Service, startService, until } from "../support/service.ts";

/** What a page saw of its stream; lives in the page. */
interface Seen {
  readonly events: { type: string; id: string; data: string }[];
  /** The answer's status; 0: the browser let the page see none. */
  status?: number;
  ended?: boolean;
  retryAfter?: string | null;
}

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** Runs in the page: reads a stream by fetch, as a client library would. */
function readStream({ url, headers }: { url: string; headers: Record<string, string> }): Seen {
  const seen: Seen = { events: [] };
  const read = async () => {
    const response = await fetch(url, { headers });
    seen.status = response.status;
    seen.retryAfter = response.headers.get("retry-after");
    if (!response.ok || !response.body) return;
    let text = "";
    const decoder = new TextDecoder();
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const field = (name: string) =>
          block
            .split("\n")
            .filter((line) => line.startsWith(`${name}: `))
            .map((line) => line.slice(name.length + 2))
            .join("\n");
        if (field("data")) seen.events.push({ type: field("event"), id: field("id"), data: field("data") });
      }
    }
    seen.ended = true;
  };
  read().catch(() => {
    if (seen.status === undefined) seen.status = 0;
  });
  return seen;
}

async function openStream(page: Page, { port }: Service, headers: Record<string, string>): Promise<JSHandle<Seen>> {
  const asked = { url: `http://127.0.0.1:${port}/sse`, headers };
  return (await page.evaluateHandle(readStream, asked)) as JSHandle<Seen>;
}

async function eventsOf(stream: JSHandle<Seen>, count: number) {
  await until(async () => (await stream.evaluate(({ events }) => events.length)) >= count);
  return stream.evaluate(({ events }) => events);
}

async function statusOf(stream: JSHandle<Seen>) {
  await until(() => stream.evaluate(({ status }) => status !== undefined));
  return stream.evaluate(({ status }) => status);
}

test("a page of another origin reads a stream by fetch, resumes it, sends frames and sees why it ends", async () => {
  const pages = await startService();
  const received: unknown[] = [];
  const service = await startService({
    allowedOrigins: [{ kind: "exact", origin: `http://localhost:${pages.port}` }],
    onMessage: ({ data }, { user, transport }) => void received.push(data, user, transport),
  });
  const page = await openPage(browser, `http://localhost:${pages.port}/healthz`);
  const authorization = "Bearer alice";
  const stream = await openStream(page, service, { authorization });
  const [welcome] = await eventsOf(stream, 1);
  const { connection, secret } = JSON.parse(welcome?.data ?? "");
  for (let n = 0; n < 3; n++) await service.call("POST", "/users/alice/messages", `{"data":{\n"bell 🔔":${n}.0}}`);
  const events = await eventsOf(stream, 4);
  expect(events.slice(1).map(({ data }) => JSON.parse(data).data)).toEqual([0, 1, 2].map((n) => ({ "bell 🔔": n })));

  const status = await page.evaluate(
    ({ url, secret }) =>
      fetch(url, {
        method: "POST",
        headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
        body: JSON.stringify({ type: "message", data: "from the page" }),
      }).then((response) => response.status),
    { url: `http://127.0.0.1:${service.port}/sse/${connection}`, secret },
  );
  expect([status, received]).toEqual([202, ["from the page", "alice", "sse"]]);

  const again = await openStream(page, service, { authorization, "last-event-id": events[1]?.id ?? "" });
  expect((await eventsOf(again, 3)).slice(1).map(({ data }) => JSON.parse(data).data["bell 🔔"])).toEqual([1, 2]);

  await service.call("DELETE", "/users/alice/connections");
  await until(() => stream.evaluate(({ ended }) => ended === true));
  const last = (await stream.evaluate(({ events }) => events.at(-1))) ?? { type: "", data: "{}" };
  expect([last.type, JSON.parse(last.data)]).toEqual(["close", { code: 4403, reason: "disconnected by the API" }]);
});

test("a page of an allowed origin sees the status of a refusal, one of a foreign origin sees nothing", async () => {
  const pages = await startService();
  const origin = `http://localhost:${pages.port}`;
  const service = await startService({ allowedOrigins: [{ kind: "exact", origin }], maxConnections: 1 });
  const allowed = await openPage(browser, `${origin}/healthz`);
  const foreign = await openPage(browser, `http://127.0.0.1:${pages.port}/healthz`);
  const authorization = "Bearer alice";
  expect(await statusOf(await openStream(foreign, service, { authorization }))).toBe(0);
  expect(await statusOf(await openStream(allowed, service, {}))).toBe(401);
  expect(await statusOf(await openStream(allowed, service, { authorization }))).toBe(200);
  const full = await openStream(allowed, service, { authorization });
  expect(await statusOf(full)).toBe(503);
  expect(await full.evaluate(({ retryAfter }) => retryAfter)).toBe("2");
  // A page that is left takes its stream along.
  await allowed.close();
  await until(() => service.belfry.hub.size === 0);
});
