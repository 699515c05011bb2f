import { setTimeout as pause } from "node:timers/promises";
import type { Checker } from "./checker.ts";
import type { TcpProxy } from "./proxy.ts";
import type { Random } from "./random.ts";
import type { RedisWorld } from "./redis.ts";
import type { Replica } from "./replica.ts";
import type { Tally } from "./report.ts";
import { type Fault, type FaultKind, faultTargets, type RedisFault } from "./schedule.ts";

/** What faults are inflicted on. */
export interface World {
  readonly replicas: readonly Replica[];
  readonly redis: RedisWorld;
  readonly checker: Checker;
  readonly tally: Tally;
  readonly random: Random;
}

/**
 * Inflicts a schedule, each fault at its time; those on one process one after the other, everything else at once. One that
 * still waits for another when the time is over is left out.
 *
 * @param lengthMs when the time is over
 * @param signal ends it before its time, and does not wait for what is under way
 * @throws what the first fault threw that could not be inflicted
 */
export async function inflictAll(
  schedule: readonly Fault[],
  lengthMs: number,
  world: World,
  signal: AbortSignal,
): Promise<void> {
  const startMs = performance.now();
  const queues = new Map<string, Promise<void>>();
  const failures: unknown[] = [];
  const inflictInTime = async (fault: Fault) => {
    if (signal.aborted || performance.now() > startMs + lengthMs) return;
    world.tally.count("faults", fault.kind);
    await inflict(fault, world);
  };
  for (const fault of schedule) {
    const dueMs = startMs + fault.atMs - performance.now();
    await pause(Math.max(0, dueMs), undefined, { signal }).catch(() => {});
    if (signal.aborted || failures.length > 0) break;
    const target = faultTargets[fault.kind];
    const queue = target === "redis" ? "redis" : `${target} ${fault.index}`;
    const before = queues.get(queue) ?? Promise.resolve();
    queues.set(
      queue,
      before.then(() => inflictInTime(fault)).catch((error: unknown) => void failures.push(error)),
    );
  }
  await Promise.race([Promise.all(queues.values()), abortOf(signal)]);
  if (failures.length > 0 && !signal.aborted) throw failures[0];
}

function abortOf(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}

async function inflict(fault: Fault, world: World): Promise<void> {
  const { redis, checker } = world;
  const { kind } = fault;
  if (!isOnRedis(kind)) return inflictOnReplica({ ...fault, kind }, world);
  const work = redis.faults[kind];
  if (!work) throw new Error(`this Redis knows no ${kind}`);
  if (kind === "redis-flush") checker.flushed();
  await work(fault);
}

function isOnRedis(kind: FaultKind): kind is RedisFault {
  return faultTargets[kind] === "redis";
}

type ReplicaFault = Exclude<FaultKind, RedisFault>;

async function inflictOnReplica(fault: Fault & { readonly kind: ReplicaFault }, world: World): Promise<void> {
  const { kind, forMs, index, share, bytes } = fault;
  const { random } = world;
  const replica = world.replicas[index];
  if (!replica) throw new Error(`there is no replica ${index}`);
  const { front } = replica;
  const link = () => {
    if (!replica.link) throw new Error(`${kind} needs a proxy before Redis`);
    return replica.link;
  };
  const work: Record<ReplicaFault, () => unknown> = {
    "replica-kill": () => replica.crash(forMs / 2),
    "replica-stop": () => replica.freeze(forMs),
    "replica-drain": () => replica.drain(forMs / 2),
    "client-cut": () => cut(front, share, bytes, random),
    "client-stall": () => stall(front, share, forMs, random),
    "client-delay": () => delay(front, share, forMs, random),
    "client-half-close": () => halfClose(front, share, random),
    "link-cut": () => cut(link(), share, bytes, random),
    "link-stall": () => stall(link(), share, forMs, random),
    "link-delay": () => delay(link(), share, forMs, random),
  };
  await work[kind]();
}

/** Breaks connections when some more bytes have passed from the service: anywhere, also within a frame. */
function cut(proxy: TcpProxy, share: number, bytes: number, random: Random): void {
  for (const { down } of proxy.some(share, random)) down.cutAfter(random.between(0, bytes));
}

async function stall(proxy: TcpProxy, share: number, forMs: number, random: Random): Promise<void> {
  const links = proxy.some(share, random).map((link) => [link.up, link.down].filter(() => random.chance(0.7)));
  for (const pipe of links.flat()) pipe.hold();
  await pause(forMs);
  for (const pipe of links.flat()) pipe.release();
}

async function delay(proxy: TcpProxy, share: number, forMs: number, random: Random): Promise<void> {
  const pipes = proxy.some(share, random).flatMap(({ up, down }) => [up, down]);
  for (const pipe of pipes) pipe.delayMs = random.between(1, 300);
  await pause(forMs);
  for (const pipe of pipes) pipe.delayMs = 0;
}

function halfClose(proxy: TcpProxy, share: number, random: Random): void {
  for (const { up, down } of proxy.some(share, random)) (random.chance(0.5) ? up : down).halfClose();
}
