import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Message } from "../../../src/broker/broker.ts";
import { SubscribedStreams } from "../../../src/hub/subscribed-streams.ts";
import { createLog } from "../../../src/log.ts";
import { broadcastStream, topicStream, userStream } from "../../../src/protocol/streams.ts";
import { FakeBroker, settled } from "../../support/fake-broker.ts";
import { RecordingFanOut } from "../../support/recording-fan-out.ts";

const alice = userStream("alice");
const away = new Error("Redis did not answer");
let broker: FakeBroker;
let streams: SubscribedStreams;
let seen: string[];

beforeEach(() => {
  broker = new FakeBroker();
  seen = [];
  streams = new SubscribedStreams(broker, createLog("silent"), {
    createFanOut: () => new RecordingFanOut(({ id }) => seen.push(id)),
    lost: ({ stream }) => void seen.push(`lost ${stream.key}`),
  });
});

function accept(...messages: (Message | undefined)[]): void {
  for (const message of messages) streams.accept(message as Message);
}

describe("hold", () => {
  it("subscribes for the first holder, and for those who come meanwhile, once", async () => {
    const gate = broker.block("subscribe");
    const holds = [streams.hold(alice), streams.hold(alice)];
    gate.release();
    const [first, second] = await Promise.all(holds);
    expect(await streams.hold(alice)).toBe(first);
    expect(second).toBe(first);
    expect(broker.calls).toEqual(["subscribe u:alice"]);
  });

  it("stands behind a message that arrives between the subscription and the position", async () => {
    broker.store(alice, 2);
    const gate = broker.block("subscribe");
    const held = streams.hold(alice);
    const [three] = broker.store(alice);
    accept(three);
    gate.release();
    expect((await held).position).toEqual({ epoch: "e1", offset: 3 });
    accept(three, ...broker.store(alice));
    expect(seen).toEqual(["u-e1-4"]);
    expect(broker.calls).toEqual(["subscribe u:alice"]);
  });

  it("takes no offset of an earlier epoch for its own", async () => {
    const [, , three] = broker.store(alice, 3);
    const gate = broker.block("subscribe");
    const held = streams.hold(alice);
    accept({ ...three, position: { epoch: "e0", offset: 9 } } as Message);
    gate.release();
    expect((await held).position).toEqual({ epoch: "e1", offset: 3 });
    accept(...broker.store(alice));
    expect(seen).toEqual(["u-e1-4"]);
  });

  it("stands where the stream stood, of however old a message arrives late", async () => {
    const [one] = broker.store(alice, 3);
    const gate = broker.block("subscribe");
    const held = streams.hold(alice);
    accept(one);
    gate.release();
    expect((await held).position).toEqual({ epoch: "e1", offset: 3 });
  });

  it("holds nothing when the broker cannot be reached, and subscribes anew the next time", async () => {
    broker.failNext("subscribe", away);
    await expect(streams.hold(alice)).rejects.toBe(away);
    expect(streams.get(alice)).toBeUndefined();
    expect(broker.calls).toEqual(["subscribe u:alice", "unsubscribe u:alice"]);
    await streams.hold(alice);
    accept(...broker.store(alice));
    expect(seen).toEqual(["u-e1-1"]);
  });

  it("fails for all who wait when the broker cannot be reached, and leaves once", async () => {
    const gate = broker.block("subscribe");
    const holds = Promise.allSettled([streams.hold(alice), streams.hold(alice)]);
    gate.fail(away);
    expect((await holds).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(broker.calls).toEqual(["subscribe u:alice", "unsubscribe u:alice"]);
  });
});

describe("release", () => {
  it("leaves the stream with the last holder", async () => {
    const subscribed = await streams.hold(alice);
    await streams.hold(alice);
    streams.release(subscribed);
    expect(broker.calls).toEqual(["subscribe u:alice"]);
    streams.release(subscribed);
    expect(broker.calls).toEqual(["subscribe u:alice", "unsubscribe u:alice"]);
    expect(streams.get(alice)).toBeUndefined();
  });

  it("leaves once more when the last holder went while the stream was being subscribed anew", async () => {
    const subscribed = await streams.hold(alice);
    const gate = broker.block("subscribe");
    const resubscribed = streams.resubscribe();
    streams.release(subscribed);
    broker.subscribed.add(alice.key);
    gate.release();
    await resubscribed;
    expect(broker.subscribed).toEqual(new Set());
  });

  it("lets a later holder begin where the stream stands then", async () => {
    streams.release(await streams.hold(alice));
    broker.store(alice, 5);
    expect((await streams.hold(alice)).position).toEqual({ epoch: "e1", offset: 5 });
    expect(seen).toEqual([]);
  });
});

describe("resubscribe", () => {
  it("subscribes to everything held, also to what was only kept so far", async () => {
    streams.keep(broadcastStream);
    await streams.hold(alice);
    streams.release(await streams.hold(topicStream("news")));
    broker.calls.length = 0;
    await streams.resubscribe();
    expect(broker.calls).toEqual(["subscribe b u:alice"]);
    accept(...broker.store(broadcastStream));
    expect(seen).toEqual(["b-e1-1"]);
  });

  it("never leaves what is kept", async () => {
    streams.keep(broadcastStream);
    streams.release(await streams.hold(broadcastStream));
    expect(broker.calls).toEqual(["subscribe b"]);
  });

  it("delivers what was published while the broker was away", async () => {
    await streams.hold(alice);
    accept(...broker.store(alice));
    broker.store(alice, 3);
    await streams.resubscribe();
    await settled();
    expect(seen).toEqual(["u-e1-1", "u-e1-2", "u-e1-3", "u-e1-4"]);
  });

  it("reads no history where nothing was missed", async () => {
    await streams.hold(alice);
    accept(...broker.store(alice));
    await streams.resubscribe();
    expect(broker.calls).toEqual(["subscribe u:alice", "subscribe u:alice"]);
  });

  it("does not mind a position that live messages have overtaken", async () => {
    await streams.hold(alice);
    const gate = broker.block("subscribe");
    const resubscribed = streams.resubscribe();
    accept(...broker.store(alice, 2));
    gate.release();
    await resubscribed;
    await settled();
    accept(...broker.store(alice));
    expect(seen).toEqual(["u-e1-1", "u-e1-2", "u-e1-3"]);
  });

  it("ends membership where the epoch changed meanwhile", async () => {
    await streams.hold(alice);
    accept(...broker.store(alice, 2));
    broker.lose(alice, "e2");
    const [one] = broker.store(alice);
    await streams.resubscribe();
    accept(one, ...broker.store(alice));
    expect(seen).toEqual(["u-e1-1", "u-e1-2", "lost u:alice", "u-e2-2"]);
  });

  it("ends membership where the offsets went back in the same epoch", async () => {
    await streams.hold(alice);
    accept(...broker.store(alice, 2));
    broker.lose(alice, "e1");
    broker.store(alice);
    await streams.resubscribe();
    accept(...broker.store(alice));
    expect(seen).toEqual(["u-e1-1", "u-e1-2", "lost u:alice", "u-e1-2"]);
  });
});

describe("catching up that failed", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    return () => vi.useRealTimers();
  });

  it("is tried again", async () => {
    await streams.hold(alice);
    broker.failNext("history", away);
    accept(broker.store(alice, 2)[1]);
    await settled();
    expect(seen).toEqual([]);
    await vi.advanceTimersByTimeAsync(500);
    await settled();
    expect(seen).toEqual(["u-e1-1", "u-e1-2"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is tried again until it works", async () => {
    await streams.hold(alice);
    broker.store(alice);
    for (let attempts = 0; attempts < 3; attempts++) {
      broker.failNext("subscribe", away);
      if (attempts === 0) await streams.resubscribe();
      else await vi.advanceTimersByTimeAsync(500);
      expect(seen).toEqual([]);
    }
    await vi.advanceTimersByTimeAsync(500);
    await settled();
    expect(seen).toEqual(["u-e1-1"]);
  });

  it("goes on with the next message of the stream, without waiting", async () => {
    await streams.hold(alice);
    broker.failNext("history", away);
    accept(broker.store(alice, 2)[1]);
    await settled();
    accept(...broker.store(alice));
    await settled();
    expect(seen).toEqual(["u-e1-1", "u-e1-2", "u-e1-3"]);
  });

  it("need not wait for its next try when the broker reports back", async () => {
    await streams.hold(alice);
    broker.up = false;
    broker.failNext("history", away);
    accept(broker.store(alice, 2)[1]);
    await settled();
    expect(seen).toEqual([]);
    await streams.resubscribe([]);
    await settled();
    expect(seen).toEqual(["u-e1-1", "u-e1-2"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("tries again with those that could not be reached, and leaves the others alone", async () => {
    const bob = userStream("bob");
    await Promise.all([streams.hold(alice), streams.hold(bob)]);
    broker.unreachable.add(bob.key);
    broker.store(alice);
    broker.store(bob);
    await streams.resubscribe([alice, bob]);
    await settled();
    expect(seen).toEqual(["u-e1-1"]);
    broker.unreachable.clear();
    broker.calls.length = 0;
    await vi.advanceTimersByTimeAsync(500);
    expect(seen).toEqual(["u-e1-1", "u-e1-1"]);
    expect(broker.calls).toEqual(["subscribe u:bob", "history u:bob 0"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("keeps a client subscribed that came back while a resubscription was under way and fails", async () => {
    const old = await streams.hold(alice);
    const gate = broker.block("subscribe");
    const resubscribed = streams.resubscribe([alice]);
    await settled();
    gate.open();
    streams.release(old);
    await streams.hold(alice);
    gate.fail(away);
    await resubscribed;
    await vi.advanceTimersByTimeAsync(500);
    expect(broker.subscribed.has(alice.key)).toBe(true);
  });

  it("subscribes to broadcasts although a first client's attempt fails beside it", async () => {
    streams.keep(broadcastStream);
    const gate = broker.block("subscribe");
    const resubscribed = streams.resubscribe();
    await settled();
    gate.open();
    broker.failNext("subscribe", away);
    await expect(streams.hold(broadcastStream)).rejects.toThrow(away);
    gate.release();
    await resubscribed;
    await vi.advanceTimersByTimeAsync(500);
    expect(broker.subscribed.has(broadcastStream.key)).toBe(true);
  });

  it("is not put off by another stream that fails again and again", async () => {
    const bob = userStream("bob");
    await Promise.all([streams.hold(alice), streams.hold(bob)]);
    broker.unreachable.add(bob.key);
    broker.store(bob);
    await streams.resubscribe([bob]);
    broker.unreachable.clear();
    for (let n = 0; n < 5; n++) {
      broker.failNext("history", away);
      accept(broker.store(alice, 2)[1]);
      await vi.advanceTimersByTimeAsync(110);
    }
    expect(broker.calls).toContain("history u:bob 0");
  });

  it("forgets a stream that was given back meanwhile", async () => {
    const subscribed = await streams.hold(alice);
    broker.unreachable.add(alice.key);
    await streams.resubscribe([alice]);
    streams.release(subscribed);
    broker.calls.length = 0;
    await vi.advanceTimersByTimeAsync(500);
    expect(broker.calls.filter((call) => call.startsWith("subscribe u:"))).toEqual([]);
  });

  it("restores a stream that a late failure of one holder took from the others", async () => {
    const gate = broker.block("subscribe");
    const first = streams.hold(alice);
    gate.open();
    await streams.resubscribe();
    await streams.hold(alice);
    gate.fail(away);
    await expect(first).rejects.toBe(away);
    expect(broker.subscribed).toEqual(new Set());
    await vi.advanceTimersByTimeAsync(500);
    expect(broker.subscribed).toEqual(new Set(["u:alice"]));
  });

  it("is given up when everything closes", async () => {
    await streams.hold(alice);
    broker.failNext("history", away);
    accept(broker.store(alice, 2)[1]);
    await settled();
    expect(vi.getTimerCount()).toBe(1);
    streams.close();
    expect(vi.getTimerCount()).toBe(0);
    broker.failNext("subscribe", away);
    await streams.resubscribe();
    expect(vi.getTimerCount()).toBe(0);
  });
});
