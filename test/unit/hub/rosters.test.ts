import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Answers } from "../../../src/broker/broker.ts";
import type { ReplicaStats } from "../../../src/hub/questions.ts";
import type { Roster } from "../../../src/hub/roster.ts";
import { Rosters } from "../../../src/hub/rosters.ts";
import { type Stream, topicStream } from "../../../src/protocol/streams.ts";

const room = topicStream("room");

/** Who is on the other replicas that can be reached. */
let there: Record<string, string[]>;
/** What the other replicas were asked. */
let asked: string[];
/** What the topic's subscribers here were told. */
let told: string[];
/** Waited for before anybody answers. */
let answering: Promise<void>;
let rosters: Rosters;

async function ask(_: Stream, question: unknown): Promise<Answers> {
  const { kind } = question as { kind: string };
  asked.push(kind);
  const answers = Object.entries(there).map(([replica, users]) => ({ replica, users }));
  await answering;
  return { answers, replicas: answers.length };
}

const open = async () => (await rosters.open("room")) as Roster;
const look = (times: number) => vi.advanceTimersByTimeAsync(1000 * times);
const tell = (replica: string, user: string, isHere: boolean) =>
  rosters.answer(room, { kind: "roster", replica, user, isHere });

beforeEach(() => {
  vi.useFakeTimers();
  [there, asked, told, answering] = [{}, [], [], Promise.resolve()];
  rosters = new Rosters({
    broker: { ask },
    presence: { stats: async () => (await ask(room, { kind: "stats" })).answers as ReplicaStats[] },
    replica: "one",
    presenceTopics: ["room"],
    tell: (_, event, user) => told.push(`${event} ${user}`),
  });
});

afterEach(() => {
  rosters.close();
  vi.useRealTimers();
});

it("holds what was told meanwhile for newer than what the others answer", async () => {
  there = { two: ["alice", "bob"], three: ["carol"] };
  const { promise, resolve } = Promise.withResolvers<void>();
  answering = promise;
  const opened = open();
  tell("two", "bob", true);
  tell("two", "bob", false);
  tell("three", "dave", true);
  resolve();
  expect((await opened).users.toSorted()).toEqual(["alice", "carol", "dave"]);
});

it("lets the users of a replica leave that is missed twice, and asks again when it is back", async () => {
  there = { two: ["alice"] };
  const roster = await open();
  there = {};
  await look(1);
  expect(roster.users).toEqual(["alice"]);
  await look(1);
  expect(told).toEqual(["join alice", "leave alice"]);
  there = { two: ["alice"] };
  await look(1);
  expect(roster.users).toEqual(["alice"]);
});

it("does not let anybody leave because of a replica that is missed once", async () => {
  there = { two: ["alice"] };
  await open();
  for (let n = 0; n < 3; n++) {
    there = {};
    await look(1);
    there = { two: ["alice"] };
    await look(1);
  }
  expect(told).toEqual(["join alice"]);
});

it("looks for other replicas only while it has to do with a topic", async () => {
  there = { two: ["alice"] };
  const roster = await open();
  there = {};
  await look(3);
  roster.release();
  await look(1);
  asked = [];
  await look(10);
  expect(asked).toEqual([]);
});

it("remembers 1,000 replicas that have gone", async () => {
  there = Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`replica-${n}`, [`user-${n}`]]));
  await open();
  there = {};
  await look(2);
  asked = [];
  there = { "replica-0": [] };
  await look(1);
  expect(asked).toEqual(["stats"]);
  there = { "replica-1000": [] };
  await look(1);
  expect(asked).toEqual(["stats", "stats", "roster"]);
});
