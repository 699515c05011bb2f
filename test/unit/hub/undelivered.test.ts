import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Message } from "../../../src/broker/broker.ts";
import { SubscribedStreams } from "../../../src/hub/subscribed-streams.ts";
import { Undelivered, type UndeliveredOptions } from "../../../src/hub/undelivered.ts";
import { createLog } from "../../../src/log.ts";
import { broadcastStream, userStream } from "../../../src/protocol/streams.ts";
import { FakeBroker, settled } from "../../support/fake-broker.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import { receiverOf } from "../../support/receivers.ts";
import { RecordingFanOut } from "../../support/recording-fan-out.ts";
import { until } from "../../support/service.ts";

const alice = userStream("alice");
let broker: FakeBroker;
/** Ids of what was told. */
let told: string[];
let lost: number;
let logs: string[];

beforeEach(() => {
  broker = new FakeBroker();
  [told, lost, logs] = [[], 0, []];
});

/** Watches over messages that are due at once. */
function start(options: Partial<UndeliveredOptions> = {}): Undelivered {
  const undelivered = new Undelivered({
    broker,
    log: createLog("debug", { write: (line: string) => void logs.push(line) }),
    afterMs: 0,
    pollMs: 5,
    leaseMs: 60_000,
    hasRoom: () => true,
    onUndelivered: async (user, { id }) => told.push(`${user} ${id}`) > 0,
    onLost: () => lost++,
    ...options,
  });
  undelivered.start();
  onTestFinished(() => undelivered.close());
  return undelivered;
}

/** What is watched; all of it is due then. */
const kept = () => broker.reminders.take(Number.MAX_SAFE_INTEGER, 1000, -Number.MAX_SAFE_INTEGER);

describe("a message that nobody was there for", () => {
  it("is told once, and forgotten then", async () => {
    const [message] = broker.store(alice) as [Message];
    await start().watch(alice, message.id);
    await until(() => told.length === 1);
    await settled();
    expect([told, await kept()]).toEqual([[`alice ${message.id}`], []]);
  });

  it("is not told when history does not hold it any more, or holds another in its place", async () => {
    const messages = broker.store(alice, 3);
    broker.trim(alice, 1);
    const undelivered = start();
    for (const { id } of messages.slice(0, 2)) await undelivered.watch(alice, id);
    await undelivered.watch(alice, "u-e0-3");
    await until(async () => told.length === 1 && (await kept()).length === 0);
    expect(told).toEqual([`alice ${messages[1]?.id}`]);
  });

  it("is told again after the lease when that came to nothing, and not while it is being told", async () => {
    const [message] = broker.store(alice) as [Message];
    const ends: PromiseWithResolvers<boolean>[] = [];
    const onUndelivered = async () => {
      const end = Promise.withResolvers<boolean>();
      ends.push(end);
      return end.promise;
    };
    let looks = 0;
    await start({ onUndelivered, leaseMs: 1, hasRoom: () => ++looks > 0 }).watch(alice, message.id);
    await until(() => ends.length === 1 && looks > 10);
    expect(ends).toHaveLength(1);
    ends[0]?.resolve(false);
    await until(() => ends.length === 2);
    ends[1]?.resolve(true);
    await until(async () => (await kept()).length === 0);
  });

  it("is left to others while there is no room, and after the end", async () => {
    const [message] = broker.store(alice) as [Message];
    let looks = 0;
    const toldBefore: number[] = [];
    const hasRoom = () => {
      toldBefore.push(told.length);
      return ++looks > 10;
    };
    const undelivered = start({ hasRoom });
    await undelivered.watch(alice, message.id);
    await until(() => told.length === 1);
    expect(toldBefore.slice(0, 11)).toEqual(Array.from({ length: 11 }, () => 0));
    undelivered.close();
    await undelivered.watch(alice, message.id);
    expect(await kept()).toHaveLength(1);
  });

  it("is looked for again when history could not be read", async () => {
    const [message] = broker.store(alice) as [Message];
    broker.failNext("history", new Error("away"));
    await start({ leaseMs: 20 }).watch(alice, message.id);
    await until(() => told.length === 1);
    expect(logs.join("")).toContain("could not be looked at");
  });

  it("is counted as lost when it cannot be watched, and its publisher does not feel it", async () => {
    broker.reminders.add = async () => false;
    await start().watch(alice, "u-e1-1");
    broker.reminders.add = () => Promise.reject(new Error("away"));
    await start().watch(alice, "u-e1-2");
    expect(lost).toBe(2);
  });

  it("is forgotten when a connection was given it", async () => {
    const messages = broker.store(alice, 3);
    const undelivered = start({ afterMs: 60_000 });
    for (const { id } of messages) await undelivered.watch(alice, id);
    undelivered.given(messages.slice(0, 2));
    await settled();
    expect(await kept()).toEqual([`${messages[2]?.id} alice`]);
  });

  it("is given where a hole is filled for who is here, but not where nobody is, or for everybody", async () => {
    const given: string[] = [];
    const streams = new SubscribedStreams(broker, createLog("silent"), {
      createFanOut: () => new RecordingFanOut(() => {}),
      lost: () => {},
      given: (messages) => given.push(...messages.map(({ id }) => id)),
    });
    const bob = userStream("bob");
    for (const stream of [alice, bob, broadcastStream]) {
      const { fanOut } = await streams.hold(stream);
      if (stream !== bob) fanOut.join(receiverOf(new FakeConnection(), fanOut));
      broker.store(stream, 2);
    }
    await streams.resubscribe();
    await until(
      () => streams.get(alice)?.position?.offset === 2 && streams.get(broadcastStream)?.position?.offset === 2,
    );
    expect(given).toEqual(["u-e1-1", "u-e1-2"]);
  });
});
