import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { parseId } from "../../src/protocol/positions.ts";
import { type Service, startService, until } from "../support/service.ts";
import { type Connected, transports } from "../support/transports.ts";

/** More than the kernel takes for a client that does not read, and 20 times the send buffer, in messages of 20 KB. */
const many = 1000;
const sendBufferBytes = 1024 * 1024;
const data = "x".repeat(20_000);

const dropped = (reason: string) => `belfry_dropped_messages_total{reason="${reason}"}`;

/** Publishes in batches of 50. */
async function publishMany({ call }: Service, message: (n: number) => object): Promise<void> {
  for (let n = 0; n < many; n += 50) {
    const messages = Array.from({ length: 50 }, (_, index) => ({ to: "broadcast", data, ...message(n + index + 1) }));
    expect((await call("POST", "/batch", { messages })).status).toBe(202);
  }
}

/** The offsets that come up to the given one. */
async function offsetsUpTo(client: Connected, last: number): Promise<number[]> {
  const offsets: number[] = [];
  while (offsets.at(-1) !== last) offsets.push(parseId(String((await client.next())["id"]))?.offset ?? 0);
  return offsets;
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const ascending = (offsets: number[]) => [...new Set(offsets)].sort((a, b) => a - b);

describe.each(transports)("a slow reader by $name", (transport) => {
  // The first of them, so that nothing is left over from another. Events have ids that are each stream's own.
  it.runIf(transport.name === "ws")(
    "shares what waits with the others, so that many of them need little more than one",
    async () => {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      const buffers = () => {
        collect();
        return process.memoryUsage().arrayBuffers;
      };
      const { belfry, port } = await startService({ sendBufferBytes: 2 * sendBufferBytes });
      const clients = await Promise.all(range(30).map((n) => transport.welcomed(port, { flag: `slow${n}` })));
      for (const client of clients) client.pause();
      const before = buffers();
      for (const n of range(many)) await belfry.hub.broadcast(data, { collapse: `key ${n % 40}` });
      expect(belfry.hub.size).toBe(30);
      // 800 KB wait for each, and 64 KiB stand at each client. What was let go of is freed in a thread beside.
      await until(() => buffers() - before < 12 * 1024 * 1024);
    },
  );

  it("is closed with 4408 when too much waits for it, and the others never wait for it", async () => {
    const { port, call, belfry, metric } = await startService({ sendBufferBytes: 200_000 });
    const slow = await transport.welcomed(port, { flag: "slow" });
    const quick = await transport.welcomed(port, { flag: "quick" });
    slow.pause();
    const data = "x".repeat(60_000);
    let sent = 0;
    while (belfry.hub.size === 2 && sent < 1000) {
      expect((await call("POST", "/broadcast", { data })).status).toBe(202);
      sent++;
    }
    expect(await quick.take(sent)).toHaveLength(sent);
    slow.unpause();
    expect((await slow.closed).code).toBe(4408);
    const offsets = slow.queue.map((text) => Number(JSON.parse(text).id.split("-")[2]));
    expect(offsets).toEqual(range(offsets.length));
    expect(await metric('belfry_dropped_connections_total{reason="slow_consumer"}')).toBe(1);
    expect(await metric(dropped("collapsed"))).toBe(0);
  });

  it("of messages with one collapse key gets the newest and is not closed, while the others get all", async () => {
    const service = await startService({ sendBufferBytes });
    const slow = await transport.welcomed(service.port, { flag: "slow" });
    const quick = await transport.welcomed(service.port, { flag: "quick" });
    slow.pause();
    await publishMany(service, () => ({ collapse: "price" }));
    expect(await offsetsUpTo(quick, many)).toEqual(range(many));
    slow.unpause();
    const offsets = await offsetsUpTo(slow, many);
    expect(offsets).toEqual(ascending(offsets));
    expect(offsets.length).toBeLessThan(many / 2);
    expect(await service.metric(dropped("collapsed"))).toBe(many - offsets.length);
    expect(service.belfry.hub.size).toBe(2);
    // From here on it gets everything again.
    for (let n = 1; n <= 3; n++) {
      await service.call("POST", "/broadcast", { data: "again", collapse: "price" });
      expect(await slow.next()).toMatchObject({ data: "again" });
    }
  });

  it("gets the newest of each collapse key, and everything that has none, in order", async () => {
    const service = await startService({ sendBufferBytes });
    const slow = await transport.welcomed(service.port, { flag: "slow" });
    slow.pause();
    const keyOf = (n: number) => (n % 50 === 0 ? undefined : `key ${n % 7}`);
    await publishMany(service, (n) => ({ collapse: keyOf(n) }));
    slow.unpause();
    const offsets = await offsetsUpTo(slow, many);
    expect(offsets).toEqual(ascending(offsets));
    const owed = range(many).filter((n) => keyOf(n) === undefined || n > many - 7);
    expect(offsets).toEqual(expect.arrayContaining(owed));
    expect(await service.metric(dropped("collapsed"))).toBe(many - offsets.length);
  });

  it("is not given what has expired while it waited", async () => {
    const service = await startService({ sendBufferBytes: 100 * sendBufferBytes });
    const slow = await transport.welcomed(service.port, { flag: "slow" });
    slow.pause();
    await publishMany(service, () => ({ ttl: 0.001 }));
    const lastMs = Date.now();
    await until(() => Date.now() > lastMs + 1);
    await service.call("POST", "/broadcast", { data: "last" });
    slow.unpause();
    const offsets = await offsetsUpTo(slow, many + 1);
    expect(offsets.length).toBeLessThan(many);
    expect(await service.metric(dropped("expired"))).toBe(many + 1 - offsets.length);
  });

  it("gets what was delivered before the connection is closed for another reason", async () => {
    const service = await startService({ sendBufferBytes: 100 * sendBufferBytes });
    const slow = await transport.welcomed(service.port, { flag: "slow" });
    slow.pause();
    await publishMany(service, () => ({ ttl: 0 }));
    expect((await service.call("DELETE", "/users/slow/connections")).json).toEqual({ closed: 1 });
    slow.unpause();
    expect((await slow.closed).code).toBe(4403);
    expect(slow.queue).toHaveLength(many);
  });
});
