import { call, closeCalls, pathOf } from "./api.ts";
import { Checker } from "./checker.ts";
import { Client } from "./client.ts";
import { inflictAll } from "./faults.ts";
import { type Options, readOptions } from "./options.ts";
import { TcpProxy } from "./proxy.ts";
import type { Stored } from "./published.ts";
import { Publisher } from "./publisher.ts";
import { Random } from "./random.ts";
import { type RedisWorld, startRedis } from "./redis.ts";
import { Replica } from "./replica.ts";
import { describeRun, Tally } from "./report.ts";
import { makeSchedule } from "./schedule.ts";
import { until } from "./until.ts";

const replicaCount = 3;
const publisherCount = 10;

/** Connections of one user, on average. */
const connectionsPerUser = 2;

/** Longest wait, after the faults, until everything has arrived, in ms. */
const settleTimeoutMs = 30_000;

/** What the parts of a run share. */
interface Run {
  readonly options: Options;
  readonly random: Random;
  readonly checker: Checker;
  readonly tally: Tally;
  /** Ends of what was started, in its order. */
  readonly closing: (() => unknown)[];
}

/** Runs it all, and says what came of it. Everything it started has ended when it settles. */
async function run(options: Options, interrupted: AbortSignal): Promise<Run> {
  const { seed, seconds, faults } = options;
  const lengthMs = seconds * 1000;
  const random = new Random(seed);
  const schedule = makeSchedule({ seed, lengthMs, replicas: replicaCount, kinds: faults });
  const run: Run = { options, random, checker: new Checker(), tally: new Tally(), closing: [] };
  const { checker, tally, closing } = run;
  try {
    const redis = await startRedis(options.redis, options.wait);
    closing.push(() => redis.close());
    const replicas = await startReplicas(redis, run);
    const chooser = random.fork();
    const port = () => {
      const live = replicas.filter(({ isLive }) => isLive);
      return chooser.pick(live.length > 0 ? live : replicas).front.port;
    };
    const streams = startClients(port, run);

    const everyMs = (1000 * publisherCount) / options.rate;
    const newPublisher = (name: string) =>
      new Publisher({ name, checker, tally, random: random.fork(), port, streams, everyMs });
    const publishers = Array.from({ length: publisherCount }, (_, i) => newPublisher(`p${i}`));
    const stop = new AbortController();
    const publishing = publishers.map((publisher) => publisher.run(stop.signal));
    await inflictAll(schedule, lengthMs, { replicas, redis, checker, tally, random: random.fork() }, interrupted);
    stop.abort();
    if (interrupted.aborted) return run;
    const all = ["broadcast", ...streams];
    // The last message of each stream: whoever has it has come to the end.
    const marker = newPublisher("end");
    const marking = () => Promise.all(all.map((stream) => marker.publish(stream)));
    if (!(await settles(Promise.all(publishing))) || !(await settles(marking()))) {
      checker.violate({ kind: "protocol", detail: "publishes still fail after the faults" });
      return run;
    }
    for (const stream of all) await readHistory(stream, port, checker);
    await holds(() => checker.behind === 0 || interrupted.aborted);
    checker.finish();
    return run;
  } finally {
    for (const close of closing.toReversed()) await close();
    closeCalls();
  }
}

async function startReplicas(redis: RedisWorld, { checker, closing }: Run): Promise<Replica[]> {
  const replicas: Replica[] = [];
  for (let i = 0; i < replicaCount; i++) {
    const front = await TcpProxy.start();
    const link = redis.linkTarget && (await TcpProxy.start());
    if (link) link.target = redis.linkTarget;
    const name = `replica ${i}`;
    const onFailure = (detail: string) => checker.violate({ kind: "process", detail: `${name}: ${detail}` });
    const replica = new Replica({ name, front, link, redis: redis.settings(link?.port), onFailure });
    replicas.push(replica);
    closing.push(async () => {
      await replica.close();
      front.close();
      link?.close();
    });
  }
  await Promise.all(replicas.map((replica) => replica.start()));
  return replicas;
}

/** Connects the clients; returns the streams of their users. */
function startClients(port: () => number, { options, random, checker, tally, closing }: Run): string[] {
  const users = Array.from({ length: Math.ceil(options.clients / connectionsPerUser) }, (_, i) => `u${i}`);
  const clients = Array.from({ length: options.clients }, (_, i) => {
    // Every user has one connection, and chance gives out the others.
    const user = users[i] ?? random.pick(users);
    // Spread evenly, so that many users have both.
    const transport = Math.floor((i + 1) * options.sse) > Math.floor(i * options.sse) ? "sse" : "ws";
    return new Client({
      name: `client ${i} (${transport})`,
      user,
      transport,
      checker,
      tally,
      random: random.fork(),
      port,
    });
  });
  closing.push(() => {
    for (const client of clients) client.stop();
  });
  for (const client of clients) client.connect();
  const life = setInterval(() => {
    for (const client of clients) client.checkLife();
  }, 500);
  closing.push(() => clearInterval(life));
  return users.map((user) => `user:${user}`);
}

/** True when the work is done in time. */
async function settles(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  void work.then(() => {
    done = true;
  });
  return holds(() => done);
}

/** True when the condition holds in time. */
function holds(condition: () => boolean): Promise<boolean> {
  return until("the run settles", condition, settleTimeoutMs).then(
    () => true,
    () => false,
  );
}

async function readHistory(stream: string, port: () => number, checker: Checker): Promise<void> {
  const stored: Stored[] = [];
  for (let after: string | undefined; ; after = stored.at(-1)?.id) {
    const { epoch, messages } = await readPage(stream, after, port);
    if (messages.length === 0) return checker.stored(stream, epoch, stored);
    stored.push(...messages.map(({ id, data }) => ({ id, key: data.key })));
  }
}

/** A replica may still be on its way back to Redis: then it says so, and another may be asked. */
async function readPage(stream: string, after: string | undefined, port: () => number): Promise<HistoryAnswer> {
  let page: HistoryAnswer | undefined;
  const isRead = async () => {
    const answer = await call(port(), "GET", `${pathOf(stream)}?limit=1000${after ? `&after=${after}` : ""}`);
    if (answer.status === 200) page = JSON.parse(answer.text) as HistoryAnswer;
    return page !== undefined;
  };
  await until(`the history of ${stream} can be read`, isRead, settleTimeoutMs);
  return page as unknown as HistoryAnswer;
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
  const { seed, seconds, clients, sse, rate, redis, wait } = options;
  const topology = redis === "standalone" ? "" : ` --redis ${redis} --wait ${wait}`;
  const title = `chaos --seed ${seed} --seconds ${seconds} --clients ${clients} --sse ${sse} --rate ${rate}${topology}`;
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
