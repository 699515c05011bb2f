import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { BrokerHandler, Message } from "../../../src/broker/broker.ts";
import { MemoryBroker, type MemoryBrokerOptions } from "../../../src/broker/memory-broker.ts";
import { broadcastStream, type Stream, userStream } from "../../../src/protocol/streams.ts";
import { publication, settled } from "../../support/fake-broker.ts";

const alice = userStream("alice");
const bob = userStream("bob");
const now = 1_700_000_000_000;

/** What a message costs beside its body. */
const overhead = 512;

function start(options: Partial<MemoryBrokerOptions> = {}, handler: Partial<BrokerHandler> = {}): MemoryBroker {
  vi.spyOn(Date, "now").mockReturnValue(now);
  const broker = new MemoryBroker({
    historySize: 1000,
    historyTtlSeconds: 60,
    idempotencyTtlSeconds: 60,
    memoryHistoryBytes: 1e9,
    ...options,
  });
  broker.start({
    onMessage: () => {},
    onQuestion: () => null,
    onExternalPublish: () => {},
    onConnected: () => {},
    ...handler,
  });
  return broker;
}

async function publish(broker: MemoryBroker, stream: Stream, bytes = 0, ts = now): Promise<void> {
  await broker.publish(stream, publication({ body: "x".repeat(bytes), ts }));
}

async function retained(broker: MemoryBroker, stream: Stream): Promise<(number | undefined)[]> {
  const { first, last, messages } = await broker.history(stream, 0, 10_000);
  const offsets = messages.map(({ position }) => position?.offset);
  expect([first, last - first + 1]).toEqual([offsets[0] ?? last + 1, offsets.length]);
  return offsets;
}

afterEach(() => vi.useRealTimers());

describe("the bound on the bytes of all streams", () => {
  it("lets the oldest messages go first, whichever stream they stand in", async () => {
    const broker = start({ memoryHistoryBytes: 4 * (overhead + 100) });
    for (const stream of [alice, bob, alice, bob]) await publish(broker, stream, 100);
    expect([await retained(broker, alice), await retained(broker, bob)]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    await publish(broker, broadcastStream, 100);
    expect([await retained(broker, alice), await retained(broker, bob)]).toEqual([[2], [1, 2]]);
    await publish(broker, alice, 100);
    expect([await retained(broker, alice), await retained(broker, bob)]).toEqual([[2, 3], [2]]);
  });

  it("is kept to by memory, too: a small message keeps nothing but its own bytes", async () => {
    const broker = start();
    await broker.publish(alice, publication({ body: '"data":"zoë"}', ts: now }));
    const { messages } = await broker.history(alice, 0, 1);
    expect(messages.map(({ body }) => [String(body), body.buffer.byteLength])).toEqual([['"data":"zoë"}', 14]]);
  });

  it("makes room for a large message by dropping several", async () => {
    const broker = start({ memoryHistoryBytes: 1000 + overhead });
    for (let n = 0; n < 3; n++) await publish(broker, alice, 100);
    await publish(broker, bob, 1000);
    expect([await retained(broker, alice), await retained(broker, bob)]).toEqual([[], [1]]);
  });

  it("keeps nothing that alone is too large, and goes on counting", async () => {
    const broker = start({ memoryHistoryBytes: 0 });
    await publish(broker, alice);
    await publish(broker, alice);
    expect(await broker.history(alice, 0, 10)).toMatchObject({ first: 3, last: 2, reaches: 2, messages: [] });
  });

  it("counts what the size of one stream's history drops as free", async () => {
    const broker = start({ historySize: 2, memoryHistoryBytes: 3 * (overhead + 10) });
    await publish(broker, bob, 10);
    for (let n = 0; n < 100; n++) await publish(broker, alice, 10);
    expect([await retained(broker, bob), await retained(broker, alice)]).toEqual([[1], [99, 100]]);
  });
});

describe("age", () => {
  it("ends a message's time in history although nobody publishes", async () => {
    const broker = start();
    await publish(broker, alice, 0, now);
    await publish(broker, alice, 0, now + 1000);
    vi.spyOn(Date, "now").mockReturnValue(now + 59_999);
    expect(await retained(broker, alice)).toEqual([1, 2]);
    vi.spyOn(Date, "now").mockReturnValue(now + 60_000);
    expect(await retained(broker, alice)).toEqual([2]);
    vi.spyOn(Date, "now").mockReturnValue(now + 61_000);
    expect(await retained(broker, alice)).toEqual([]);
  });

  it("frees the memory of all streams when anyone publishes", async () => {
    const broker = start({ memoryHistoryBytes: 2 * overhead });
    await publish(broker, alice, 0, now);
    await publish(broker, bob, 0, now + 60_000);
    await publish(broker, bob, 0, now + 60_000);
    expect(await retained(broker, bob)).toEqual([1, 2]);
  });
});

describe("memory", () => {
  it("does not grow from messages that were dropped, also behind one that stays", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const refs: WeakRef<Message>[] = [];
    const broker = start({ historySize: 1 }, { onMessage: (message) => void refs.push(new WeakRef(message)) });
    await broker.subscribe([alice]);
    await publish(broker, bob);
    for (let n = 0; n < 5000; n++) await publish(broker, alice);
    await settled();
    collect();
    expect(refs).toHaveLength(5000);
    expect(refs.filter((ref) => ref.deref()).length).toBeLessThan(1500);
    expect(await retained(broker, bob)).toEqual([1]);
  });

  it("forgets the stream unused for longest when there are too many, but none that is subscribed", async () => {
    const broker = start();
    const [carol, dave] = [userStream("carol"), userStream("dave")];
    await broker.subscribe([alice, dave]);
    for (const stream of [alice, dave, bob, carol]) await publish(broker, stream);
    const epochs: string[] = [];
    for (const stream of [alice, carol, bob, dave]) epochs.push((await broker.history(stream, 0, 1)).epoch);
    // In use until here.
    broker.unsubscribe(dave);
    for (let n = 0; n < 500_000 - 3; n++) await broker.history(userStream(String(n)), 0, 1);
    expect((await broker.history(alice, 0, 1)).epoch).toBe(epochs[0]);
    expect((await broker.history(bob, 0, 1)).epoch).toBe(epochs[2]);
    expect((await broker.history(dave, 0, 1)).epoch).toBe(epochs[3]);
    const forgotten = await broker.history(carol, 0, 1);
    expect(forgotten.epoch).not.toBe(epochs[1]);
    expect(forgotten).toMatchObject({ first: 1, last: 0, messages: [] });
  });
});

describe("history", () => {
  it("is read page by page, without what has expired", async () => {
    const broker = start();
    for (const expiresAtMs of [0, now - 1, now + 1, 0, 0])
      await broker.publish(alice, publication({ ts: now, expiresAtMs }));
    const offsets = async (after: number) => {
      const { messages, reaches } = await broker.history(alice, after, 2);
      return [messages.map(({ position }) => position?.offset), reaches];
    };
    expect(await offsets(0)).toEqual([[1, 3], 3]);
    expect(await offsets(3)).toEqual([[4, 5], 5]);
    expect(await offsets(5)).toEqual([[], 5]);
  });

  it("does not know live-only messages, each of which has an id of its own", async () => {
    const onMessage = vi.fn();
    const broker = start({}, { onMessage });
    await broker.check();
    await broker.subscribe([alice]);
    const [one, two] = [publication({ live: true }), publication({ live: true, body: "x" })];
    const ids = [(await broker.publish(alice, one)).id, (await broker.publish(alice, two)).id];
    expect(ids[0]).toMatch(/^l-[0-9a-z]+-1$/);
    expect(ids[1]).toMatch(/^l-[0-9a-z]+-2$/);
    expect(onMessage.mock.calls.map(([{ id, position }]) => [id, position])).toEqual(ids.map((id) => [id, undefined]));
    expect(await broker.history(alice, 0, 10)).toMatchObject({ last: 0, messages: [] });
  });
});

describe("handing over", () => {
  it("is over when the publish is, and never happens within it", async () => {
    const order: string[] = [];
    const broker = start({}, { onMessage: ({ id }) => void order.push(id) });
    await broker.subscribe([alice]);
    const published = broker.publish(alice, publication());
    order.push("called");
    const { id } = await published;
    order.push("answered");
    expect(order).toEqual(["called", id, "answered"]);
  });

  it("stops when the broker is closed", async () => {
    const onMessage = vi.fn();
    const broker = start({}, { onMessage });
    await broker.subscribe([alice]);
    expect(broker.up).toBe(true);
    await broker.close();
    await publish(broker, alice);
    expect([broker.up, (await broker.ask(alice, {})).answers]).toEqual([false, []]);
    expect(onMessage).not.toHaveBeenCalled();
  });
});
