import { setTimeout as pause } from "node:timers/promises";
import type { Checker } from "./checker.ts";
import type { TcpProxy } from "./proxy.ts";
import type { Random } from "./random.ts";
import type { Redis } from "./redis.ts";
import type { Replica } from "./replica.ts";
import type { Tally } from "./report.ts";
import { type Fault, type FaultKind, faultTargets } from "./schedule.ts";

/** What faults are inflicted on. */
export interface World {
  readonly replicas: readonly Replica[];
  readonly redis: Redis;
  readonly checker: Checker;
  readonly tally: Tally;
  readonly random: Random;
}

/**
 * Inflicts a schedule, each fault at its time; those on one process one after the other, everything else at once.
 *
 * @param signal ends it before its time
 * @throws what the first fault threw that could not be inflicted
 */
export async function inflictAll(schedule: readonly Fault[], world: World, signal: AbortSignal): Promise<void> {
  const startMs = performance.now();
  const queues = new Map<string, Promise<void>>();
  const failures: unknown[] = [];
  for (const fault of schedule) {
    const dueMs = startMs + fault.atMs - performance.now();
    await pause(Math.max(0, dueMs), undefined, { signal }).catch(() => {});
    if (signal.aborted || failures.length > 0) break;
    world.tally.count("faults", fault.kind);
    const target = faultTargets[fault.kind];
    const queue = target === "redis" ? "redis" : `${target} ${fault.replica}`;
    const before = queues.get(queue) ?? Promise.resolve();
    queues.set(
      queue,
      before
        .then(() => (signal.aborted ? undefined : inflict(fault, world)))
        .catch((error: unknown) => void failures.push(error)),
    );
  }
  await Promise.all(queues.values());
  if (failures.length > 0) throw failures[0];
}

async function inflict(fault: Fault, world: World): Promise<void> {
  const { redis, checker, random } = world;
  const { kind, forMs, share, bytes } = fault;
  const replica = world.replicas[fault.replica];
  if (!replica) throw new Error(`there is no replica ${fault.replica}`);
  const { front, link } = replica;
  const work: Record<FaultKind, () => unknown> = {
    "replica-kill": () => replica.crash(forMs / 2),
    "replica-stop": () => replica.freeze(forMs),
    "replica-drain": () => replica.drain(forMs / 2),
    "client-cut": () => cut(front, share, bytes, random),
    "client-stall": () => stall(front, share, forMs, random),
    "client-delay": () => delay(front, share, forMs, random),
    "client-half-close": () => halfClose(front, share, random),
    "link-cut": () => cut(link, share, bytes, random),
    "link-stall": () => stall(link, share, forMs, random),
    "link-delay": () => delay(link, share, forMs, random),
    "redis-kill-pubsub": () => redis.killClients("pubsub"),
    "redis-kill-normal": () => redis.killClients("normal"),
    "redis-stop": () => redis.freeze(forMs),
    "redis-restart": () => redis.restart("SIGTERM", forMs / 4),
    "redis-crash": () => redis.restart("SIGKILL", forMs / 4),
    "redis-flush": () => {
      checker.flushed();
      return redis.flush();
    },
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
