import { closeCalls } from "./api.ts";
import { Backend } from "./backend.ts";
import { Checker } from "./checker.ts";
import { Client } from "./client.ts";
import { inflictAll } from "./faults.ts";
import { type Options, readOptions } from "./options.ts";
import { TcpProxy } from "./proxy.ts";
import { Publisher } from "./publisher.ts";
import { Random } from "./random.ts";
import { type RedisWorld, startRedis } from "./redis.ts";
import { Replica } from "./replica.ts";
import { describeRun, Tally } from "./report.ts";
import { makeSchedule } from "./schedule.ts";
import { type Remains, settle } from "./settle.ts";

const replicaCount = 3;
const publisherCount = 10;

/** Connections of one user, on average. */
const connectionsPerUser = 2;

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
    const users = Array.from({ length: Math.ceil(options.clients / connectionsPerUser) }, (_, i) => `u${i}`);
    const clients = startClients(users, port, run);
    const stop = new AbortController();
    const { stopping, ...actors } = startServices(users, port, run, stop.signal);
    await inflictAll(schedule, lengthMs, { replicas, redis, checker, tally, random: random.fork() }, interrupted);
    stop.abort();
    if (interrupted.aborted) return run;
    const ports = replicas.map(({ front }) => front.port);
    await settle({ ...actors, stopping, checker, clients, users, port, ports }, interrupted);
    return run;
  } finally {
    for (const close of closing.toReversed()) await close();
    closeCalls();
  }
}

/** Publishes, and changes users' topics, until the signal comes. */
function startServices(
  users: readonly string[],
  port: () => number,
  { options, random, checker, tally }: Run,
  signal: AbortSignal,
): Pick<Remains, "backend" | "marker" | "stopping"> {
  const streams = users.map((user) => `user:${user}`);
  const everyMs = (1000 * publisherCount) / options.rate;
  const newPublisher = (name: string) =>
    new Publisher({ name, checker, tally, random: random.fork(), port, streams, everyMs });
  const publishers = Array.from({ length: publisherCount }, (_, i) => newPublisher(`p${i}`));
  const backend = new Backend({ checker, tally, random: random.fork(), port, users });
  const stopping = Promise.all([...publishers, backend].map((actor) => actor.run(signal)));
  return { backend, marker: newPublisher("end"), stopping };
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

/** Connects the clients. */
function startClients(
  users: readonly string[],
  port: () => number,
  { options, random, checker, tally, closing }: Run,
): Client[] {
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
    for (const client of clients) client.tick();
  }, 500);
  closing.push(() => clearInterval(life));
  return clients;
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
