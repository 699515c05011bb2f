import { Webhook } from "standardwebhooks";
import { describe, expect, it, onTestFinished } from "vitest";
import { createLog } from "../../../src/log.ts";
import { Webhooks, type WebhooksOptions } from "../../../src/webhooks/webhooks.ts";
import { freePort } from "../../support/free-port.ts";
import { hush } from "../../support/secrets.ts";
import { until } from "../../support/service.ts";
import { WebhookReceiver, webhookSecret } from "../../support/webhook-receiver.ts";

const alice = { connection: "c1", user: "alice", transport: "ws" };

/** Webhooks to a receiver, with short pauses. */
function start(url: URL, options: Partial<WebhooksOptions> = {}) {
  const logs: string[] = [];
  const settled: string[] = [];
  const webhooks = new Webhooks({
    url,
    secret: webhookSecret,
    log: createLog("debug", { write: (line: string) => void logs.push(line) }),
    replica: "r1",
    onSettled: (type, result) => settled.push(`${type} ${result}`),
    ...options,
    limits: { lingerMs: 20, ...options.limits },
    retry: { baseDelayMs: 10, ...options.retry },
  });
  onTestFinished(() => webhooks.close(0));
  return { webhooks, logs, settled };
}

const send = (webhooks: Webhooks, from: number, to: number) => {
  for (let n = from; n <= to; n++) webhooks.message(alice, undefined, String(n));
};

describe("events", () => {
  it("are posted as JSON, signed as Standard Webhooks says", async () => {
    const receiver = await WebhookReceiver.start();
    const { webhooks, settled } = start(receiver.url);
    const before = Date.now();
    webhooks.connected({ ...alice, user: null });
    await until(() => settled.length === 1);
    const [batch] = receiver.batches;
    expect(batch?.headers).toMatchObject({ "content-type": "application/json", "user-agent": "belfry" });
    expect(batch?.id).toMatch(/^msg_[-\w]{36}$/);
    const { type, timestamp, data } = JSON.parse(batch?.text ?? "");
    expect(type).toBe("belfry.events");
    expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(before);
    expect(data.events).toEqual([
      {
        id: "connect_c1",
        type: "connect",
        ts: expect.any(Number),
        user: null,
        connection: "c1",
        transport: "ws",
        replica: "r1",
      },
    ]);
    expect(settled).toEqual(["connect sent"]);
  });

  it("are signed with each of two secrets while one takes the other's place", async () => {
    const receiver = await WebhookReceiver.start();
    const other = `whsec_${Buffer.from(hush("another secret of the tests")).toString("base64")}`;
    const { webhooks, settled } = start(receiver.url, { secret: `${other}, ${webhookSecret}` });
    webhooks.connected(alice);
    await until(() => settled.length === 1);
    const { headers = {}, text = "" } = receiver.batches[0] ?? {};
    expect(() => new Webhook(other).verify(text, headers as Record<string, string>)).not.toThrow();
    expect(String((headers as Record<string, string>)["webhook-signature"]).split(" ")).toHaveLength(2);
  });

  it("carry what clients send exactly as it was written", async () => {
    const receiver = await WebhookReceiver.start();
    const { webhooks, settled } = start(receiver.url);
    webhooks.message(alice, "typed", ' {"n": 1e400, "ü": "\\u0000"}');
    await until(() => settled.length === 1);
    expect(receiver.batches[0]?.text).toContain('"event":"typed","data": {"n": 1e400, "ü": "\\u0000"}}');
  });

  it("go out together, 100 at most, and those of a connection in their order", async () => {
    const receiver = await WebhookReceiver.start((response, number) => {
      response.writeHead(number % 2 ? 200 : 500).end("whatever");
    });
    const { webhooks, settled } = start(receiver.url);
    send(webhooks, 1, 250);
    await until(() => settled.length === 250);
    const taken = receiver.batches.filter((_, number) => number % 2 === 1);
    expect(taken.map(({ events }) => events.length)).toEqual([100, 100, 50]);
    expect(taken.flatMap(({ events }) => events.map(({ data }) => data))).toEqual(
      Array.from({ length: 250 }, (_, index) => index + 1),
    );
    expect(new Set(taken.flatMap(({ events }) => events.map(({ id }) => id))).size).toBe(250);
  });

  it("are not more than 256 KiB together, unless it is one alone", async () => {
    const receiver = await WebhookReceiver.start();
    const { webhooks, settled } = start(receiver.url);
    for (const kib of [100, 100, 100, 300, 1]) webhooks.message(alice, undefined, `"${"x".repeat(kib * 1024)}"`);
    await until(() => settled.length === 5);
    expect(receiver.batches.map(({ events }) => events.length)).toEqual([2, 1, 1, 1]);
  });

  it("wait for others for a moment, and not at all when there is a whole batch", async () => {
    const receiver = await WebhookReceiver.start();
    const { webhooks } = start(receiver.url, { limits: { lingerMs: 60_000 } });
    send(webhooks, 1, 99);
    // Others do not wait so long, and come first.
    const barrier = start(receiver.url);
    barrier.webhooks.connected(alice);
    await until(() => barrier.settled.length === 1);
    expect(receiver.batches).toHaveLength(1);
    send(webhooks, 100, 100);
    await until(() => receiver.batches.length === 2);
    expect(receiver.batches[1]?.events).toHaveLength(100);
  });
});

describe("a batch", () => {
  it.each([500, 503, 408, 429])("is sent again after %d, as the same", async (status) => {
    const receiver = await WebhookReceiver.start((response, number) => {
      response.writeHead(number < 2 ? status : 200).end();
    });
    const { webhooks, settled } = start(receiver.url);
    webhooks.connected(alice);
    await until(() => settled.length === 1);
    expect(settled).toEqual(["connect sent"]);
    expect(receiver.batches).toHaveLength(3);
    expect(new Set(receiver.batches.map(({ id, text }) => id + text)).size).toBe(1);
  });

  it("is sent again when nobody listens yet", async () => {
    const port = await freePort();
    const { webhooks, settled, logs } = start(new URL(`http://127.0.0.1:${port}`));
    webhooks.connected(alice);
    await until(() => logs.some((line) => line.includes("ECONNREFUSED")));
    const receiver = await WebhookReceiver.start(undefined, port);
    await until(() => settled.length === 1);
    expect([settled, receiver.events.length]).toEqual([["connect sent"], 1]);
  });

  it("is sent again when no answer comes in time, and when the connection breaks", async () => {
    const receiver = await WebhookReceiver.start((response, number) => {
      if (number === 1) response.destroy();
      if (number === 2) response.writeHead(200).write("but no end");
      if (number === 3) response.writeHead(200).end();
    });
    const { webhooks, settled, logs } = start(receiver.url, { retry: { timeoutMs: 50 } });
    webhooks.connected(alice);
    await until(() => settled.length === 1);
    expect(settled).toEqual(["connect sent"]);
    const reasons = logs.map((line) => JSON.parse(line).reason);
    expect(reasons).toEqual(["timeout", expect.stringMatching(/UND_ERR_SOCKET|ECONNRESET/), "timeout"]);
  });

  it("is sent again as late as Retry-After says, up to a limit", async () => {
    const inASecond = () => new Date(Date.now() + 2000).toUTCString();
    const receiver = await WebhookReceiver.start((response, number) => {
      const value = ["1", inASecond(), "3600", "soon"][number];
      response.writeHead(value ? 429 : 200, value ? { "retry-after": value } : {}).end();
    });
    const { webhooks, settled } = start(receiver.url, { retry: { maxRetryAfterMs: 1500 } });
    webhooks.connected(alice);
    await until(() => settled.length === 1, 10_000);
    const at = receiver.batches.map(({ atMs }) => atMs);
    const pauses = at.slice(1).map((ms, index) => ms - (at[index] ?? 0));
    expect(pauses[0]).toBeGreaterThan(950);
    expect(pauses[1]).toBeGreaterThan(900);
    expect(pauses[2]).toBeGreaterThan(1450);
    expect(pauses[2]).toBeLessThan(3000);
    expect(pauses[3]).toBeLessThan(900);
  });

  it.each([400, 401, 404, 410, 301, 307])(
    "is not sent again after %d, and redirects are not followed",
    async (status) => {
      const receiver = await WebhookReceiver.start((response) => {
        response.writeHead(status, { location: "/elsewhere" }).end();
      });
      const { webhooks, settled, logs } = start(receiver.url);
      webhooks.connected(alice);
      await until(() => settled.length === 1);
      await webhooks.close(1000);
      expect([settled, receiver.batches.length]).toEqual([["connect failed"], 1]);
      expect(JSON.parse(logs.at(-1) ?? "")).toMatchObject({ level: "warn", events: 1, reason: `status ${status}` });
    },
  );

  it("is given up after some tries", async () => {
    const receiver = await WebhookReceiver.start((response) => response.writeHead(500).end());
    const { webhooks, settled } = start(receiver.url, { retry: { maxAttempts: 3 } });
    webhooks.connected(alice);
    webhooks.disconnected(alice, "client");
    await until(() => settled.length === 2);
    expect(settled).toEqual(["connect failed", "disconnect failed"]);
    expect(receiver.batches).toHaveLength(3);
  });
});

describe("too many events", () => {
  it("are dropped, counted, and logged once", async () => {
    const receiver = await WebhookReceiver.start(() => {});
    const { webhooks, settled, logs } = start(receiver.url, { limits: { maxEvents: 150 } });
    send(webhooks, 1, 200);
    expect(webhooks.waiting).toBe(150);
    expect(webhooks.message(alice, undefined, "201")).toBe(false);
    expect(settled).toEqual(Array.from({ length: 51 }, () => "message dropped"));
    expect(logs.filter((line) => line.includes("were lost"))).toHaveLength(1);
  });

  it("leave what can be told later to later", async () => {
    const receiver = await WebhookReceiver.start(() => {});
    const { webhooks } = start(receiver.url, { limits: { maxEvents: 1 } });
    void webhooks.undelivered("alice", "u-e1-1", '{"id":"u-e1-1"}');
    expect(await webhooks.undelivered("alice", "u-e1-1", '{"id":"u-e1-1"}')).toBe("dropped");
  });

  it("of one connection leave room for those of others", async () => {
    const receiver = await WebhookReceiver.start(() => {});
    const { webhooks } = start(receiver.url, { limits: { maxEvents: 100 } });
    send(webhooks, 1, 1000);
    expect(webhooks.waiting).toBe(100);
    const others = ["c2", "c3", "c4"].map((connection) => webhooks.message({ ...alice, connection }, undefined, "1"));
    expect(others).toEqual([true, true, true]);
    expect(webhooks.hasRoom).toBe(true);
  });

  it("are too many bytes as well", async () => {
    const receiver = await WebhookReceiver.start(() => {});
    const { webhooks } = start(receiver.url, { limits: { maxBytes: 1000 } });
    const taken = [2000, 500, 300, 1].map((bytes) => webhooks.message(alice, undefined, `"${"x".repeat(bytes)}"`));
    expect(taken).toEqual([true, false, false, false]);
  });
});

describe("closing", () => {
  it("sends what waits, without delay, and takes nothing any more", async () => {
    const receiver = await WebhookReceiver.start();
    const { webhooks, settled } = start(receiver.url, { limits: { lingerMs: 60_000 } });
    send(webhooks, 1, 10);
    await webhooks.close(5000);
    expect(receiver.events).toHaveLength(10);
    expect(settled).toEqual(Array.from({ length: 10 }, () => "message sent"));
    expect(webhooks.message(alice, undefined, "1")).toBe(false);
  });

  it("drops what cannot be sent in time, and says so", async () => {
    const receiver = await WebhookReceiver.start((response) => response.writeHead(503).end());
    const { webhooks, settled, logs } = start(receiver.url, { retry: { baseDelayMs: 60_000 } });
    send(webhooks, 1, 150);
    const told = webhooks.undelivered("alice", "u-e1-1", '{"id":"u-e1-1"}');
    await webhooks.close(100);
    expect(await told).toBe("dropped");
    expect(settled.filter((one) => one === "message dropped")).toHaveLength(150);
    const lost = logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "webhook events were lost");
    expect(lost.reduce((sum, { events }) => sum + events, 0)).toBe(151);
  });
});

describe("credentials in the URL", () => {
  it("are sent, and stand in no log", async () => {
    const receiver = await WebhookReceiver.start((response, number) => {
      response.writeHead(number === 0 ? 500 : 400).end();
    });
    const url = receiver.url;
    url.username = "belfry";
    url.password = hush("p@ss%");
    const { webhooks, settled, logs } = start(url);
    webhooks.connected(alice);
    await until(() => settled.length === 1);
    const [, credentials = ""] = /^Basic (.*)$/.exec(receiver.batches[0]?.headers.authorization ?? "") ?? [];
    expect(Buffer.from(credentials, "base64").toString()).toBe(`belfry:${hush("p@ss%")}`);
    expect(logs).toHaveLength(2);
    for (const secret of [hush(""), "/hooks", webhookSecret, credentials]) expect(logs.join("")).not.toContain(secret);
  });
});
