import fc from "fast-check";
import { expect, it } from "vitest";
import type { Message } from "../../src/broker/broker.ts";
import { FanOut } from "../../src/hub/fan-out.ts";
import { Member, type Seat } from "../../src/hub/member.ts";
import { type Sweepable, Sweeper } from "../../src/hub/sweeper.ts";
import { broadcastStream, type Stream, topicStream, userStream } from "../../src/protocol/streams.ts";
import { liveMessage } from "../support/fake-broker.ts";
import { FakeConnection } from "../support/fake-connection.ts";

/** Lets a test say when the streams have their turns, and in which order. */
class ManualSweeper extends Sweeper {
  readonly due: Sweepable[] = [];

  override add(stream: Sweepable): void {
    this.due.push(stream);
  }

  override isFirst(number: number): boolean {
    return !this.due.some((stream) => stream.hasBefore(number));
  }

  /** Gives one of the streams that are due a turn, which is over at the first look at the clock. */
  turn(which: number): void {
    const [stream] = this.due.splice(which % this.due.length, 1);
    if (stream?.sweep(0)) this.due.push(stream);
  }
}

/** A connection, and the ids that it must have been handed in the end. */
interface Listener {
  readonly member: Member;
  readonly connection: FakeConnection;
  readonly seats: Map<FanOut<Seat>, Seat>;
  readonly expected: string[];
}

function join(member: Member, fanOut: FanOut<Seat>): Seat {
  const seat = { member, source: fanOut, joined: 0 };
  fanOut.join(seat);
  return seat;
}

const streams: Stream[] = [broadcastStream, userStream("alice"), topicStream("orders")];
/** More than are written to between two looks at the clock, so that passes take several turns. */
const listenerCount = 40;

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("push" as const), stream: fc.nat(2), size: fc.nat(30) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("turn" as const), which: fc.nat(2) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom("join" as const, "leave" as const),
        stream: fc.nat(2),
        listener: fc.nat(listenerCount - 1),
      }),
    },
  ),
  { maxLength: 120 },
);

it("every connection is handed all messages of its streams once, in the order of their coming", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 100 }), (plan, maxPassBytes) => {
      const sweeper = new ManualSweeper();
      let delivered = 0;
      const onDelivered = (messages: readonly Message[], connections: number) => {
        delivered += messages.length * connections;
      };
      const fanOuts = streams.map(() => new FanOut<Seat>({ sweeper, maxPassBytes, onDelivered }));
      const listeners = Array.from({ length: listenerCount }, (_, n): Listener => {
        const connection = new FakeConnection();
        const member = new Member(connection);
        const joined = fanOuts.filter((_, index) => index === 0 || n % (index + 1) === 0);
        const seats = new Map(joined.map((fanOut) => [fanOut, join(member, fanOut)]));
        return { member, connection, seats, expected: [] };
      });
      let count = 0;
      for (const step of plan) {
        if (step.kind === "turn") {
          sweeper.turn(step.which);
          continue;
        }
        const fanOut = fanOuts[step.stream] as FanOut<Seat>;
        if (step.kind === "push") {
          const id = `m${++count}`;
          fanOut.push({ ...liveMessage(streams[step.stream] as Stream), id, body: Buffer.alloc(step.size) });
          for (const { seats, expected } of listeners) if (seats.has(fanOut)) expected.push(id);
          continue;
        }
        const { member, connection, seats, expected } = listeners[step.listener] as Listener;
        const seat = seats.get(fanOut);
        if (step.kind === "join" && !seat) {
          seats.set(fanOut, join(member, fanOut));
        } else if (step.kind === "leave" && seat) {
          seats.delete(fanOut);
          fanOut.leave(seat);
          // What was on its way from this stream is lost to who leaves; the order of the rest is not.
          while (sweeper.due.length > 0) sweeper.turn(0);
          expected.splice(0, expected.length, ...connection.ids);
        }
      }
      while (sweeper.due.length > 0) sweeper.turn(0);
      for (const { connection, expected } of listeners) expect(connection.ids).toEqual(expected);
      expect(delivered).toBe(listeners.reduce((sum, { connection }) => sum + connection.ids.length, 0));
    }),
    { numRuns: 300 },
  );
});
