import { beforeEach, describe, expect, it, vi } from "vitest";
import { AckWaits } from "../../../src/hub/ack-waits.ts";
import type { Receiver } from "../../../src/hub/receiver.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import { receiverOf } from "../../support/receivers.ts";
import { RecordingFanOut } from "../../support/recording-fan-out.ts";

function receiver(): Receiver {
  return receiverOf(new FakeConnection("alice"), new RecordingFanOut(() => {}));
}

const ackOf = ({ connection }: Receiver) => ({ user: "alice", connection: connection.id });
const none = () => false;

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

describe("AckWaits", () => {
  it("end when all have acked, or have gone", async () => {
    const waits = new AckWaits();
    const [one, two, three] = [receiver(), receiver(), receiver()];
    const ended = vi.fn();
    const acks = waits.open(5, [one, two, three], none, 1000);
    void Promise.resolve(acks).then(ended);
    waits.acked(one, 5);
    waits.gone(two);
    await vi.advanceTimersByTimeAsync(10);
    expect([ended.mock.calls.length, waits.size]).toEqual([0, 1]);
    waits.acked(three, 9);
    expect(await acks).toEqual({ missing: 0, acked: 2, acks: [ackOf(one), ackOf(three)] });
    expect([one.waits, two.waits, three.waits, waits.size, vi.getTimerCount()]).toEqual([
      undefined,
      undefined,
      undefined,
      0,
      0,
    ]);
  });

  it("end with what there is when the time is over, or everything ends", async () => {
    const waits = new AckWaits();
    const [one, two] = [receiver(), receiver()];
    const acks = waits.open(5, [one, two], none, 1000);
    waits.acked(one, 5);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await acks).toEqual({ missing: 1, acked: 1, acks: [ackOf(one)] });
    expect([two.waits, waits.size]).toEqual([undefined, 0]);
    const others = waits.open(6, [one, two], none, 1000);
    waits.close();
    expect(await others).toEqual({ missing: 2, acked: 0, acks: [] });
    expect([waits.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it("need no time when all have acked already, or there is nobody", () => {
    const waits = new AckWaits();
    const one = receiver();
    expect(waits.open(5, [one], () => true, 1000)).toEqual({ missing: 0, acked: 1, acks: [ackOf(one)] });
    expect(waits.open(5, [], none, 1000)).toEqual({ missing: 0, acked: 0, acks: [] });
    expect([one.waits, waits.size, vi.getTimerCount()]).toEqual([undefined, 0, 0]);
  });

  it("take an ack for every earlier message of the stream, and one of a live-only message for that alone", async () => {
    const waits = new AckWaits();
    const one = receiver();
    const places = [4, 5, 6, "l-a-1", "l-a-2"];
    const ended: unknown[] = [];
    for (const place of places) {
      void Promise.resolve(waits.open(place, [one], none, 1000)).then(() => ended.push(place));
    }
    waits.acked(one, 5);
    waits.acked(one, "l-a-2");
    await vi.advanceTimersByTimeAsync(10);
    expect(ended).toEqual([4, 5, "l-a-2"]);
    expect(waits.size).toBe(2);
    waits.gone(one);
    await vi.advanceTimersByTimeAsync(10);
    expect([ended.length, waits.size, vi.getTimerCount()]).toEqual([5, 0, 0]);
  });

  it("are over at once when too much would be waited for", async () => {
    const waits = new AckWaits(3);
    const [one, two] = [receiver(), receiver()];
    const first = waits.open(1, [one, two], none, 1000);
    expect(waits.open(2, [one, two], none, 1000)).toEqual({ missing: 2, acked: 0, acks: [] });
    expect(waits.size).toBe(2);
    waits.gone(one);
    waits.gone(two);
    await first;
    const third = waits.open(3, [one, two], none, 1000);
    waits.acked(one, 3);
    waits.acked(two, 3);
    expect(await third).toMatchObject({ missing: 0, acked: 2 });
  });

  it("name 10,000 of those who have acked, and count all", async () => {
    const waits = new AckWaits();
    const many = Array.from({ length: 10_001 }, receiver);
    const acks = waits.open(1, many, none, 1000);
    for (const one of many) waits.acked(one, 1);
    const { acked, acks: named } = await acks;
    expect([acked, named.length]).toEqual([10_001, 10_000]);
    const already = await waits.open(1, many, () => true, 1000);
    expect([already.acked, already.acks.length]).toEqual([10_001, 10_000]);
  });
});
