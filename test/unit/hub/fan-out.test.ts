import { beforeEach, describe, expect, it } from "vitest";
import type { Message } from "../../../src/broker/broker.ts";
import { FanOut } from "../../../src/hub/fan-out.ts";
import { Member, type Seat } from "../../../src/hub/member.ts";
import { Sweeper } from "../../../src/hub/sweeper.ts";
import { userStream } from "../../../src/protocol/streams.ts";
import { FakeBroker, settled } from "../../support/fake-broker.ts";
import { FakeConnection } from "../../support/fake-connection.ts";

const alice = userStream("alice");
let broker: FakeBroker;
let written: [ids: string[], connections: number][];
/** Turns asked for and not given yet. */
let fanOut: FanOut<Seat>;

beforeEach(() => {
  broker = new FakeBroker();
  written = [];
  fanOut = create();
});

function create(maxPassBytes = 1000): FanOut<Seat> {
  const onDelivered = (messages: readonly Message[], connections: number) => {
    written.push([messages.map(({ id }) => id), connections]);
  };
  return new FanOut({ sweeper: new Sweeper(), maxPassBytes, onDelivered });
}

/** Connections that are members. */
function join(count: number): FakeConnection[] {
  return joinSeats(count).map(({ member }) => member.connection as FakeConnection);
}

function joinSeats(count: number): Seat[] {
  const seats = Array.from({ length: count }, () => {
    return { member: new Member(new FakeConnection()), source: fanOut, joined: 0 };
  });
  for (const seat of seats) fanOut.join(seat);
  return seats;
}

/** Hands the next messages of the stream over, and gives their ids. */
function push(count: number): string[] {
  const messages = broker.store(alice, count);
  for (const message of messages) fanOut.push(message);
  return messages.map(({ id }) => id);
}

/** A time in the past: a slice then ends at the first look at the clock. */
const over = 0;

describe("a fan-out", () => {
  it("writes all that came in one turn at once", async () => {
    const connections = join(3);
    const ids = push(5);
    expect(connections[0]?.ids).toEqual([]);
    await settled();
    expect(connections.map((connection) => connection.ids)).toEqual([ids, ids, ids]);
    expect(written).toEqual([[ids, 3]]);
  });

  it("hands a newcomer what comes after it, also when it comes in the middle of a pass or before one", async () => {
    const early = push(1);
    const [first] = join(1);
    const one = push(1);
    const [second] = join(1);
    const two = push(2);
    const [third] = join(1);
    expect(fanOut.sweep(over)).toBe(false);
    expect([first, second, third].map((connection) => connection?.ids)).toEqual([[...one, ...two], two, []]);
    expect(early).toEqual(["u-e1-1"]);
  });

  it("writes to a slice of the members and goes on with the others in the next turn", () => {
    const connections = join(100);
    const ids = push(2);
    expect(fanOut.sweep(over)).toBe(true);
    const reached = () => connections.filter((connection) => connection.ids.length > 0).length;
    expect(reached()).toBe(32);
    const later = push(1);
    expect([fanOut.sweep(over), fanOut.sweep(over), reached()]).toEqual([true, true, 96]);
    // The pass is over; what came meanwhile needs another.
    expect(fanOut.sweep(over)).toBe(true);
    expect(connections.every((connection) => connection.ids.length === 2)).toBe(true);
    while (fanOut.sweep(over));
    expect(connections.every((connection) => connection.ids.join() === [...ids, ...later].join())).toBe(true);
    expect(written.reduce((sum, [messages, count]) => sum + messages.length * count, 0)).toBe(300);
  });

  it("writes nothing to those who have left, and does not count them", () => {
    const [one, two] = joinSeats(2) as [Seat, Seat];
    const ids = push(1);
    fanOut.leave(one);
    fanOut.sweep(over);
    expect([one, two].map(({ member }) => (member.connection as FakeConnection).ids)).toEqual([[], ids]);
    expect(written).toEqual([[ids, 1]]);
  });

  it("splits what waits into passes of the allowed size, one message at least", () => {
    fanOut = create(40);
    const [connection] = join(1);
    const [{ body }] = broker.store(alice) as [Message];
    expect(body.length * 2).toBeLessThanOrEqual(40);
    const ids = push(5);
    while (fanOut.sweep(over));
    expect(connection?.ids).toEqual(ids);
    expect(written.map(([messages]) => messages.length)).toEqual([2, 2, 1]);
    written = [];
    fanOut = create(1);
    join(1);
    push(2);
    while (fanOut.sweep(over));
    expect(written.map(([messages]) => messages.length)).toEqual([1, 1]);
  });

  it("is full when a megabyte waits, and has room again when that is written", async () => {
    fanOut = create(1 << 20);
    const [connection] = join(1);
    const [message] = broker.store(alice) as [Message];
    fanOut.push({ ...message, body: Buffer.alloc((1 << 20) - 1) });
    expect(fanOut.isFull).toBe(false);
    await fanOut.room();
    push(1);
    expect(fanOut.isFull).toBe(true);
    let hasRoom = false;
    const room = fanOut.room().then(() => {
      hasRoom = true;
    });
    await Promise.resolve();
    expect(hasRoom).toBe(false);
    fanOut.sweep(over);
    await room;
    expect([fanOut.isFull, connection?.ids.length]).toEqual([false, 1]);
  });

  it("keeps nothing for nobody", () => {
    for (let n = 0; n < 3; n++) fanOut.push({ ...(broker.store(alice)[0] as Message), body: Buffer.alloc(1 << 20) });
    expect(fanOut.isFull).toBe(false);
  });
});
