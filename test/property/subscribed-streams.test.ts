import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SubscribedStream } from "../../src/hub/subscribed-stream.ts";
import { SubscribedStreams } from "../../src/hub/subscribed-streams.ts";
import { createLog } from "../../src/log.ts";
import { userStream } from "../../src/protocol/streams.ts";
import { FakeBroker, settled } from "../support/fake-broker.ts";
import { RecordingFanOut } from "../support/recording-fan-out.ts";
import { step } from "../support/step.ts";

const stream = userStream("alice");

/** What may happen to one stream. */
const steps = fc.array(
  fc.oneof(
    step(6, "publish", fc.integer({ min: 1, max: 5 })),
    step(4, "publish unheard", fc.nat(250)),
    step(2, "repeat", fc.nat(10)),
    step(2, "reconnect"),
    step(1, "slow history"),
    step(1, "slow subscribe"),
    step(2, "history answers"),
    step(2, "subscribe answers"),
    step(1, "history fails"),
    step(1, "subscribe fails"),
    step(1, "no room"),
    step(2, "room"),
    step(3, "settle"),
  ),
  { maxLength: 40 },
);
type Step = typeof steps extends fc.Arbitrary<(infer T)[]> ? T : never;

/** One service with one stream and whatever happens to it. */
class World {
  readonly broker = new FakeBroker();
  /** Offsets in the order they were delivered. */
  readonly delivered: number[] = [];
  readonly #fanOut = new RecordingFanOut(({ position }) => this.delivered.push(position?.offset ?? -1));
  readonly streams = new SubscribedStreams(this.broker, createLog("silent"), {
    createFanOut: () => this.#fanOut,
    lost: () => void this.delivered.push(Number.NaN),
  });
  readonly #gates = new Map<string, ReturnType<FakeBroker["block"]>>();

  hold(): Promise<SubscribedStream> {
    return this.streams.hold(stream);
  }

  async take({ kind, count }: Step): Promise<void> {
    const { broker, streams } = this;
    if (kind === "publish") for (const message of broker.store(stream, count)) streams.accept(message);
    else if (kind === "publish unheard") broker.store(stream, count);
    else if (kind === "repeat") {
      const messages = broker.retained(stream, Math.max(0, broker.position(stream).offset - count));
      for (const message of messages) streams.accept(message);
    } else if (kind === "reconnect") void streams.resubscribe();
    else if (kind === "slow history") this.#block("history");
    else if (kind === "slow subscribe") this.#block("subscribe");
    else if (kind === "history answers") this.#release("history");
    else if (kind === "subscribe answers") this.#release("subscribe");
    else if (kind === "history fails") broker.failNext("history", new Error("away"));
    else if (kind === "subscribe fails") broker.failNext("subscribe", new Error("away"));
    else if (kind === "no room") this.#fanOut.full = true;
    else if (kind === "room") this.#fanOut.drain();
    else await settled();
  }

  /** Everything answers again, and the service reconnects once more. */
  async heal(): Promise<void> {
    for (const operation of ["history", "subscribe"] as const) {
      this.#release(operation);
      this.broker.failNext(operation, undefined);
    }
    this.#fanOut.drain();
    await settled();
    await this.streams.resubscribe();
    await settled();
    this.streams.close();
  }

  #block(operation: "history" | "subscribe"): void {
    if (!this.#gates.has(operation)) this.#gates.set(operation, this.broker.block(operation));
  }

  #release(operation: "history" | "subscribe"): void {
    this.#gates.get(operation)?.release();
    this.#gates.delete(operation);
  }
}

describe("SubscribedStreams", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => vi.useRealTimers());

  it("delivers every offset once and in order, whatever gets lost, comes twice, fails or is slow", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(5), steps, async (before, schedule) => {
        const world = new World();
        world.broker.store(stream, before);
        await world.hold();
        for (const step of schedule) {
          await world.take(step);
          expect(world.delivered).toEqual(world.delivered.map((_, index) => before + 1 + index));
        }
        await world.heal();
        const last = world.broker.position(stream).offset;
        expect(world.delivered).toEqual(Array.from({ length: last - before }, (_, index) => before + 1 + index));
      }),
      { numRuns: 500 },
    );
  });

  it("says that a position is lost before it leaves anything out", async () => {
    const trims = fc.array(fc.oneof(steps, fc.constant("trim" as const), fc.constant("lose" as const)), {
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(trims, async (schedule) => {
        const world = new World();
        await world.hold();
        let epochs = 1;
        for (const part of schedule) {
          if (part === "trim") world.broker.trim(stream, world.broker.position(stream).offset);
          else if (part === "lose") world.broker.lose(stream, `e${++epochs}`);
          else for (const step of part) await world.take(step);
        }
        await world.heal();
        for (const [index, offset] of world.delivered.entries()) {
          const previous = index === 0 ? 0 : (world.delivered[index - 1] ?? 0);
          if (!Number.isNaN(offset) && !Number.isNaN(previous)) expect(offset).toBe(previous + 1);
        }
        const { position } = await world.hold();
        expect(position).toEqual(world.broker.position(stream));
      }),
      { numRuns: 300 },
    );
  });
});
