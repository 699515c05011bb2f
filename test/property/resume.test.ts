import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Hub } from "../../src/hub/hub.ts";
import { planResume } from "../../src/hub/resume.ts";
import { formatId } from "../../src/protocol/positions.ts";
import type { Since } from "../../src/protocol/since.ts";
import { userStream } from "../../src/protocol/streams.ts";
import { FakeBroker, settled } from "../support/fake-broker.ts";
import { FakeConnection } from "../support/fake-connection.ts";
import { createHub } from "../support/hub.ts";
import { step } from "../support/step.ts";

const alice = userStream("alice");

/** A history that begins somewhere and ends there or later; `last` is one less than `first` when nothing is kept. */
const histories = fc
  .record({ lost: fc.nat(50), kept: fc.nat(50), epoch: fc.constantFrom("e1", "e2") })
  .map(({ lost, kept, epoch }) => ({ epoch, first: lost + 1, last: lost + kept }));
/** What a client that comes back has, more often than not close to where the history begins or ends. */
const cases = fc
  .tuple(histories, fc.integer({ min: -3, max: 3 }), fc.nat(120), fc.constantFrom("e1", "e2"))
  .chain(([history, near, anywhere, epoch]) => {
    const offsets = [history.first + near, history.last + near, anywhere].map((offset) => Math.max(0, offset));
    const since: fc.Arbitrary<Since> = fc.oneof(
      fc.constant("earliest" as const),
      ...offsets.map((offset) => fc.constant({ epoch, offset })),
    );
    return fc.tuple(since, fc.constant(history));
  });

describe("planResume", () => {
  it("says that nothing is missing exactly when everything behind what the client has is there", () => {
    fc.assert(
      fc.property(cases, ([since, history]) => {
        const has = since === "earliest" ? 0 : since.offset;
        const isKnown = since === "earliest" || (since.epoch === history.epoch && since.offset <= history.last);
        const { from, recovered } = planResume(since, history);
        expect(recovered).toBe(isKnown && history.first <= has + 1);
        if (recovered) expect(from.offset).toBe(has);
      }),
      { numRuns: 2000 },
    );
  });

  it("puts nobody where history is gone, nor behind its end, nor into another epoch", () => {
    fc.assert(
      fc.property(cases, ([since, history]) => {
        const { from } = planResume(since, history);
        expect(from.epoch).toBe(history.epoch);
        expect(from.offset).toBeGreaterThanOrEqual(history.first - 1);
        expect(from.offset).toBeLessThanOrEqual(history.last);
      }),
    );
  });

  it("leaves nothing out of what is kept and the client may not have", () => {
    fc.assert(
      fc.property(cases, ([since, history]) => {
        const { from, recovered } = planResume(since, history);
        const has =
          since !== "earliest" && since.epoch === history.epoch && since.offset <= history.last ? since.offset : 0;
        expect(from.offset).toBe(Math.max(has, history.first - 1));
        if (!recovered && has === 0) expect(from.offset).toBe(history.first - 1);
      }),
    );
  });
});

/** What may happen while clients resume. */
const steps = fc.array(
  fc.oneof(
    step(5, "resume", fc.integer({ min: -2, max: 300 })),
    step(4, "publish", fc.integer({ min: 1, max: 5 })),
    step(2, "burst", fc.integer({ min: 1, max: 1500 })),
    step(2, "publish unheard", fc.nat(150)),
    step(2, "slow history"),
    step(3, "history answers"),
    step(1, "reconnect"),
    step(3, "settle"),
  ),
  { maxLength: 30 },
);

describe("a client that resumes", () => {
  it("is given what it missed and then what is live, each message once and in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(400), steps, async (before, schedule) => {
        const { hub, broker } = await startHub();
        broker.store(alice, before);
        const clients: { readonly connection: FakeConnection; readonly since: number; readonly ahead: boolean }[] = [];
        let gate: ReturnType<FakeBroker["block"]> | undefined;
        const answer = () => {
          gate?.release();
          gate = undefined;
        };
        for (const { kind, count } of schedule) {
          if (kind === "resume") {
            const since = Math.max(0, broker.position(alice).offset - count);
            void resume(hub, since).then((connection) => clients.push({ connection, since, ahead: count < 0 }));
          } else if (kind === "publish unheard") broker.store(alice, count);
          else if (kind === "slow history") gate ??= broker.block("history");
          else if (kind === "history answers") answer();
          else if (kind === "reconnect") broker.handler?.onConnected();
          else if (kind === "settle") await settled();
          else for (const message of broker.store(alice, count)) broker.handler?.onMessage(message);
        }
        answer();
        // The last message comes to all of them, and is the last that does.
        const { length: resumed } = schedule.filter(({ kind }) => kind === "resume");
        while (clients.length < resumed) await settled();
        const [end] = broker.store(alice);
        if (end) broker.handler?.onMessage(end);
        while (!clients.every(({ connection }) => connection.ids.at(-1) === end?.id)) await settled();
        const last = broker.position(alice).offset;
        for (const { connection, since, ahead } of clients) {
          const recovered = connection.welcomed?.recovered.user;
          // Who claims more than there is may be caught up with before it is looked at.
          if (!ahead) expect(recovered).toBe(true);
          const has = recovered ? since : 0;
          const missed = Array.from({ length: last - has }, (_, i) =>
            formatId("user", { epoch: "e1", offset: has + 1 + i }),
          );
          expect(connection.ids).toEqual(missed);
          hub.unregister(connection);
        }
        await hub.close();
      }),
      { numRuns: 300 },
    );
  });
});

async function startHub() {
  const broker = new FakeBroker();
  const hub = createHub(broker, { maxConnectionsPerUser: 1000 });
  await settled();
  return { hub, broker };
}

async function resume(hub: Hub, since: number): Promise<FakeConnection> {
  const connection = new FakeConnection("alice");
  const admission = await hub.admit({ user: "alice" }, { user: { epoch: "e1", offset: since } });
  hub.register(connection, admission);
  return connection;
}
