import { beforeEach, describe, expect, it, vi } from "vitest";
import { AckedPositions } from "../../../src/hub/acked-positions.ts";
import { userStream } from "../../../src/protocol/streams.ts";
import { FakeBroker } from "../../support/fake-broker.ts";

const [alice, bob] = [userStream("alice"), userStream("bob")];
const at = (offset: number, epoch = "e1") => ({ epoch, offset });
let broker: FakeBroker;

beforeEach(() => {
  broker = new FakeBroker();
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

describe("AckedPositions", () => {
  it("are written once a second, the furthest of each stream", async () => {
    const positions = new AckedPositions(broker);
    for (const offset of [1, 3, 2]) positions.note(alice, at(offset));
    positions.note(bob, at(7));
    expect([positions.get(alice), positions.size]).toEqual([at(3), 2]);
    await vi.advanceTimersByTimeAsync(999);
    expect(broker.calls).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(broker.calls).toEqual(["acked u:alice 3", "acked u:bob 7"]);
    expect([positions.get(alice), positions.size, vi.getTimerCount()]).toEqual([undefined, 0, 0]);
    positions.note(alice, at(4));
    await vi.advanceTimersByTimeAsync(1000);
    expect(broker.calls.slice(2)).toEqual(["acked u:alice 4"]);
  });

  it("are those of the newest epoch", () => {
    const positions = new AckedPositions(broker);
    positions.note(alice, at(9, "e1"));
    positions.note(alice, at(2, "e2"));
    expect(positions.get(alice)).toEqual(at(2, "e2"));
  });

  it("are written at once when nobody listens any more", async () => {
    const positions = new AckedPositions(broker);
    positions.left(alice);
    positions.note(alice, at(1));
    positions.left(alice);
    await vi.advanceTimersByTimeAsync(0);
    expect([broker.calls, positions.size]).toEqual([["acked u:alice 1"], 0]);
  });

  it("that could not be written are tried again, and are known here meanwhile", async () => {
    const positions = new AckedPositions(broker);
    positions.note(alice, at(1));
    broker.failNext("acked", new Error("away"));
    await vi.advanceTimersByTimeAsync(1000);
    expect(positions.get(alice)).toEqual(at(1));
    await vi.advanceTimersByTimeAsync(1000);
    expect([broker.calls, positions.size]).toEqual([["acked u:alice 1", "acked u:alice 1"], 0]);
  });

  it("that come while one is written are written next", async () => {
    const positions = new AckedPositions(broker);
    const gate = broker.block("acked");
    positions.note(alice, at(1));
    await vi.advanceTimersByTimeAsync(1000);
    positions.note(alice, at(2));
    gate.release();
    await vi.advanceTimersByTimeAsync(1000);
    expect([broker.calls, positions.size]).toEqual([["acked u:alice 1", "acked u:alice 2"], 0]);
  });

  it("are not tried one by one while the broker is away", async () => {
    const positions = new AckedPositions(broker);
    for (let n = 0; n < 1000; n++) positions.note(userStream(`user${n}`), at(1));
    vi.spyOn(broker, "keepAcked").mockRejectedValue(new Error("away"));
    await vi.advanceTimersByTimeAsync(1000);
    expect(vi.mocked(broker.keepAcked).mock.calls.length).toBe(100);
    expect(positions.size).toBe(1000);
  });

  it("are bounded: of streams beyond it is not kept how far they were acked", () => {
    const positions = new AckedPositions(broker, 1);
    positions.note(alice, at(1));
    positions.note(bob, at(1));
    positions.note(alice, at(2));
    expect([positions.get(alice), positions.get(bob)]).toEqual([at(2), undefined]);
  });

  it("are written at the end, which does not wait for a broker that hangs", async () => {
    const positions = new AckedPositions(broker);
    positions.note(alice, at(1));
    await positions.close();
    expect(broker.calls).toEqual(["acked u:alice 1"]);
    positions.note(alice, at(2));
    broker.block("acked");
    const closed = positions.close();
    await vi.advanceTimersByTimeAsync(2000);
    await closed;
    expect(vi.getTimerCount()).toBe(0);
  });
});
