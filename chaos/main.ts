import { setTimeout as pause } from "node:timers/promises";
import { call, closeCalls, pathOf } from "./api.ts";
import { Checker, type Stored } from "./checker.ts";
import { Client } from "./client.ts";
import { inflictAll } from "./faults.ts";
import { type Options, readOptions } from "./options.ts";
import { TcpProxy } from "./proxy.ts";
import { Publisher } from "./publisher.ts";
import { Random } from "./random.ts";
import { Redis } from "./redis.ts";
import { Replica } from "./replica.ts";
import { describeRun, Tally } from "./report.ts";
import { makeSchedule } from "./schedule.ts";

const replicaCount = 3;
const publisherCount = 10;

/** Connections of one user, on average. */
const connectionsPerUser = 2;

/** Longest wait, after the faults, until everything has arrived, in ms. */
const settleTimeoutMs = 30_000;

/** Pause between two looks at a condition, in ms. */
const lookEveryMs = 50;

/** Runs it all, and says what came of it. Everything it started has ended when it settles. */
async function run({ seed, seconds, clients: clientCount, rate, faults }: Options, interrupted: AbortSignal) {
  const random = new Random(seed);
  const schedule = makeSchedule({ seed, lengthMs: seconds * 1000, replicas: replicaCount, kinds: faults });
  const checker = new Checker();
  const tally = new Tally();
  const closing: (() => unknown)[] = [];
  try {
    const redis = await Redis.start();
    closing.push(() => redis.close());
    const replicas: Replica[] = [];
    for (let i = 0; i < replicaCount; i++) {
      const [front, link] = [await TcpProxy.start(), await TcpProxy.start()];
      link.target = { path: redis.path };
      const name = `replica ${i}`;
      const replica = new Replica(name, front, link, (detail) => {
        checker.violate({ kind: "process", detail: `${name}: ${detail}` });
      });
      replicas.push(replica);
      closing.push(async () => {
        await replica.close();
        front.close();
        link.close();
      });
    }
    await Promise.all(replicas.map((replica) => replica.start()));

    const chooser = random.fork();
    const port = () => {
      const live = replicas.filter(({ isLive }) => isLive);
      return chooser.pick(live.length > 0 ? live : replicas).front.port;
    };
    const users = Array.from({ length: Math.ceil(clientCount / connectionsPerUser) }, (_, i) => `u${i}`);
    const streams = users.map((user) => `user:${user}`);
    const clients = Array.from({ length: clientCount }, (_, i) => {
      // Every user has one connection, and chance gives out the others.
      const user = users[i] ?? random.pick(users);
      return new Client({ name: `client ${i}`, user, checker, tally, random: random.fork(), port });
    });
    closing.push(() => {
      for (const client of clients) client.stop();
    });
    for (const client of clients) client.connect();
    const life = setInterval(() => {
      for (const client of clients) client.checkLife();
    }, 500);
    closing.push(() => clearInterval(life));

    const everyMs = (1000 * publisherCount) / rate;
    const publishers = Array.from({ length: publisherCount }, (_, i) => {
      return new Publisher({ name: `p${i}`, checker, tally, random: random.fork(), port, streams, everyMs });
    });
    const stop = new AbortController();
    const publishing = publishers.map((publisher) => publisher.run(stop.signal));
    await inflictAll(schedule, { replicas, redis, checker, tally, random: random.fork() }, interrupted);
    stop.abort();
    if (interrupted.aborted) return { checker, tally };
    if (!(await settles(Promise.all(publishing)))) {
      checker.violate({ kind: "protocol", detail: "publishes still fail after the faults" });
      return { checker, tally };
    }

    // The last message of each stream: whoever has it has come to the end.
    const marker = new Publisher({ name: "end", checker, tally, random: random.fork(), port, streams, everyMs });
    for (const stream of ["broadcast", ...streams]) await marker.publish(stream);
    for (const stream of ["broadcast", ...streams]) await readHistory(stream, port(), checker);
    await until(() => checker.behind === 0 || interrupted.aborted);
    checker.finish();
    return { checker, tally };
  } finally {
    for (const close of closing.toReversed()) await close();
    closeCalls();
  }
}

/** True when the work is done in time. */
async function settles(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  void work.then(() => {
    done = true;
  });
  return until(() => done);
}

async function until(condition: () => boolean): Promise<boolean> {
  const deadlineMs = performance.now() + settleTimeoutMs;
  while (!condition()) {
    if (performance.now() > deadlineMs) return false;
    await pause(lookEveryMs);
  }
  return true;
}

async function readHistory(stream: string, port: number, checker: Checker): Promise<void> {
  const stored: Stored[] = [];
  for (let after: string | undefined; ; after = stored.at(-1)?.id) {
    const { text } = await call(port, "GET", `${pathOf(stream)}?limit=1000${after ? `&after=${after}` : ""}`);
    const { epoch, messages } = JSON.parse(text) as HistoryAnswer;
    if (messages.length === 0) return checker.stored(stream, epoch, stored);
    stored.push(...messages.map(({ id, data }) => ({ id, key: data.key })));
  }
}

interface HistoryAnswer {
  readonly epoch: string;
  readonly messages: readonly { readonly id: string; readonly data: { readonly key: string } }[];
}

const interruption = new AbortController();
process.once("SIGINT", () => interruption.abort());
process.once("SIGTERM", () => interruption.abort());

try {
  const options = readOptions(process.argv.slice(2));
  const { seed, seconds, clients, rate } = options;
  const title = `chaos --seed ${seed} --seconds ${seconds} --clients ${clients} --rate ${rate}`;
  console.log(`${title} ...\n`);
  const { checker, tally } = await run(options, interruption.signal);
  console.log(describeRun(title, tally, checker));
  if (interruption.signal.aborted) console.log("\nInterrupted: nothing is proved.");
  process.exitCode = checker.violations.length > 0 || interruption.signal.aborted ? 1 : 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}

// A publisher may still be repeating a message to replicas that are gone.
process.exit();
