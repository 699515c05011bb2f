import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { Publication } from "../../src/broker/broker.ts";
import { MemoryBroker } from "../../src/broker/memory-broker.ts";
import {
  decodeAnswer,
  decodeRecord,
  decodeWire,
  encodeAnswer,
  encodeQuestion,
  encodeRecord,
} from "../../src/broker/redis-wire.ts";
import { Fifo } from "../../src/fifo.ts";
import { topicStream, userStream } from "../../src/protocol/streams.ts";
import { isName } from "../../src/protocol/user-ids.ts";

/** Without escapes: V8 13.6 may take an escaped name for another that it saw before, see nodejs/node#63785. */
const json = fc.jsonValue().filter((value) => !JSON.stringify(value).includes("\\"));
const epoch = fc.stringMatching(/^[0-9a-z]{1,32}$/);
const publications: fc.Arbitrary<Publication> = fc.record({
  body: fc.string({ unit: "grapheme" }),
  ts: fc.maxSafeNat(),
  live: fc.constant(false),
  expiresAtMs: fc.maxSafeNat(),
  collapse: fc.option(fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter(isName), { nil: undefined }),
});

describe("the form of messages in Redis", () => {
  const alice = userStream("alice");

  it("gives back what was put in", () => {
    fc.assert(
      fc.property(publications, epoch, fc.maxSafeNat(), (given, life, offset) => {
        const { ts, expiresAtMs, collapse } = given;
        const rest = { stream: alice, body: Buffer.from(given.body), ts, expiresAtMs, collapse };
        const stored = { ...rest, id: `u-${life}-${offset}`, position: { epoch: life, offset } };
        const record = encodeRecord(given);
        const wire = decodeWire(alice, Buffer.from(`m ${life} ${offset} ${record}`));
        expect(wire).toEqual({ kind: "message", message: stored });
        expect(decodeRecord(alice, life, String(offset), Buffer.from(record))).toEqual(stored);
        const live = decodeWire(alice, Buffer.from(`l ${life} ${offset} ${record}`));
        const message = { ...rest, id: `l-${life}-${offset}`, position: undefined };
        expect(live).toEqual({ kind: "message", message });
      }),
    );
  });

  it("gives questions and answers back", () => {
    fc.assert(
      fc.property(json, (value) => {
        const said = JSON.parse(JSON.stringify(value));
        const question = decodeWire(alice, Buffer.from(encodeQuestion("1", "channel", value)));
        expect(question).toEqual({ kind: "question", request: "1", replyChannel: "channel", question: said });
        const answer = decodeAnswer(Buffer.from(encodeAnswer("1", value)));
        expect(answer).toEqual({ request: "1", answer: said });
      }),
    );
  });

  it("is refused or read, whatever the bytes, and never makes an id that breaks a frame", () => {
    const word = fc.oneof(fc.constantFrom("m", "l", "q", "a"), fc.string(), fc.nat().map(String));
    const lines = fc.tuple(fc.array(word, { maxLength: 7 }), fc.string()).map(([words, rest]) => {
      return Buffer.from(`${words.join(" ")}\n${rest}`);
    });
    fc.assert(
      fc.property(fc.oneof(lines, fc.uint8Array().map(Buffer.from)), (payload) => {
        try {
          const wire = decodeWire(alice, payload);
          if (wire.kind === "message") expect(wire.message.id).toMatch(/^[ul]-[0-9a-z]{1,32}-\d+$/);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          expect((error as Error).name).not.toBe("AssertionError");
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("Fifo", () => {
  it("does what an array does", () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("push" as const), n: fc.integer({ min: 1, max: 50 }) }) },
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("shift" as const), n: fc.integer({ min: 1, max: 50 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("keep" as const), n: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("from" as const), n: fc.nat(60) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const fifo = new Fifo<number>();
        let model: number[] = [];
        let next = 0;
        for (const { kind, n } of steps) {
          if (kind === "keep") {
            fifo.keep((item) => item % n === 0);
            model = model.filter((item) => item % n === 0);
          } else if (kind === "from") {
            expect([...fifo.from(n)]).toEqual(model.slice(n));
          } else {
            for (let i = 0; i < n; i++) {
              if (kind === "shift") expect(fifo.shift()).toBe(model.shift());
              else model.push(next);
              if (kind === "push") fifo.push(next++);
            }
          }
          expect([fifo.length, fifo.peek()]).toEqual([model.length, model[0]]);
        }
        expect([...fifo.from(0)]).toEqual(model);
      }),
      { numRuns: 500 },
    );
  });
});

describe("the history in memory", () => {
  it("is what a list of all messages would say", async () => {
    const streams = ["a", "b", "c"].map(topicStream);
    const step = fc.record({
      stream: fc.nat(2),
      bytes: fc.nat(400),
      passMs: fc.nat(2000),
      ttlMs: fc.option(fc.nat(5000), { nil: undefined }),
      after: fc.nat(20),
      limit: fc.integer({ min: 1, max: 5 }),
    });
    const limits = fc.record({ historySize: fc.integer({ min: 1, max: 8 }), memoryHistoryBytes: fc.nat(12_000) });
    await fc.assert(
      fc.asyncProperty(limits, fc.array(step, { maxLength: 60 }), async (limit, steps) => {
        const broker = new MemoryBroker({ ...limit, historyTtlSeconds: 10, idempotencyTtlSeconds: 60 });
        let now = 1_700_000_000_000;
        const clock = vi.spyOn(Date, "now").mockImplementation(() => now);
        let kept: { stream: number; offset: number; ts: number; expiresAtMs: number; cost: number }[] = [];
        const counts = [0, 0, 0];
        for (const { stream, bytes, passMs, ttlMs, after, limit: most } of steps) {
          now += passMs;
          const expiresAtMs = ttlMs === undefined ? 0 : now + ttlMs;
          const given = { body: "x".repeat(bytes), ts: now, live: false, expiresAtMs, collapse: undefined };
          await broker.publish(streams[stream] ?? topicStream(""), given);
          kept.push({ stream, offset: ++counts[stream]!, ts: now, expiresAtMs, cost: bytes + 512 });
          kept = kept.filter(
            (one) => one.offset > (counts[one.stream] ?? 0) - limit.historySize && one.ts > now - 10_000,
          );
          while (kept.reduce((sum, { cost }) => sum + cost, 0) > limit.memoryHistoryBytes) kept.shift();
          for (let index = 0; index < 3; index++) {
            const page = await broker.history(streams[index] ?? topicStream(""), after, most);
            const here = kept.filter((one) => one.stream === index);
            const last = counts[index] ?? 0;
            expect([page.first, page.last]).toEqual([here[0]?.offset ?? last + 1, last]);
            const alive = here.filter((one) => one.offset > after && (one.expiresAtMs === 0 || one.expiresAtMs > now));
            const offsets = alive.slice(0, most).map(({ offset }) => offset);
            expect(page.messages.map(({ position }) => position?.offset)).toEqual(offsets);
            const isWhole = alive.length <= most;
            if (isWhole && alive.length < most) expect(page.reaches).toBe(last);
            else expect(page.reaches).toBeGreaterThanOrEqual(offsets.at(-1) ?? last);
            if (!isWhole) expect(page.reaches).toBeLessThan(alive[most]?.offset ?? last);
          }
        }
        clock.mockRestore();
      }),
      { numRuns: 200 },
    );
  });
});
