import { Random } from "./random.ts";

/** Every fault, and on what: a replica, its clients, its connections to Redis, or Redis itself. */
export const faultTargets = {
  "replica-kill": "replica",
  "replica-stop": "replica",
  "replica-drain": "replica",
  "client-cut": "clients",
  "client-stall": "clients",
  "client-delay": "clients",
  "client-half-close": "clients",
  "link-cut": "link",
  "link-stall": "link",
  "link-delay": "link",
  "redis-kill-pubsub": "redis",
  "redis-kill-normal": "redis",
  "redis-stop": "redis",
  "redis-restart": "redis",
  "redis-crash": "redis",
  "redis-flush": "redis",
  "sentinel-failover": "redis",
  "cluster-failover": "redis",
  "master-kill": "redis",
  "master-stop": "redis",
} as const;

/** Name of a fault. */
export type FaultKind = keyof typeof faultTargets;

/** Name of a fault that is inflicted on Redis itself. */
export type RedisFault = { [K in FaultKind]: (typeof faultTargets)[K] extends "redis" ? K : never }[FaultKind];

/** How the Redis of a run is built. */
export const topologies = ["standalone", "sentinel", "cluster"] as const;

/** How the Redis of a run is built. */
export type Topology = (typeof topologies)[number];

/** Replicas that each Redis master has. */
export const redisReplicas: Readonly<Record<Topology, number>> = { standalone: 0, sentinel: 2, cluster: 1 };

/** Faults by which another Redis server becomes master: where each is possible, and how long it takes at most, in ms. */
const failovers: Partial<Record<FaultKind, { readonly topologies: readonly Topology[]; readonly takesMs: number }>> = {
  "sentinel-failover": { topologies: ["sentinel"], takesMs: 5000 },
  "cluster-failover": { topologies: ["cluster"], takesMs: 1000 },
  "master-kill": { topologies: ["sentinel", "cluster"], takesMs: 10_000 },
  "master-stop": { topologies: ["sentinel", "cluster"], takesMs: 10_000 },
};

const faultKinds = Object.keys(faultTargets) as FaultKind[];

/** Every fault that is possible with such a Redis. */
export function faultsIn(topology: Topology): FaultKind[] {
  return faultKinds.filter((kind) => {
    const target = faultTargets[kind];
    if (target === "replica" || target === "clients") return true;
    // A proxy cannot stand before servers that tell their own addresses.
    return (failovers[kind]?.topologies ?? ["standalone"]).includes(topology);
  });
}

/** Those inflicted by default: all but the one that is allowed to lose messages, which leaves less to check. */
export function defaultFaultsIn(topology: Topology): FaultKind[] {
  return faultsIn(topology).filter((kind) => kind !== "redis-flush");
}

/** One fault of a schedule. */
export interface Fault {
  readonly kind: FaultKind;
  /** When, in ms from the beginning. */
  readonly atMs: number;
  /** How long, in ms, where the kind takes any time. */
  readonly forMs: number;
  /** Which replica, its clients or its link; which master, where Redis has several. */
  readonly index: number;
  /** Share of the connections concerned, above 0 and up to 1. */
  readonly share: number;
  /** Bytes that still pass before a cut. */
  readonly bytes: number;
}

/** What a schedule is made for. */
export interface ScheduleOptions {
  readonly seed: number;
  /** When the last fault must be over, in ms. */
  readonly lengthMs: number;
  readonly replicas: number;
  readonly kinds: readonly FaultKind[];
}

/** Time for everybody to connect, in ms. */
const warmUpMs = 1500;

/** Pauses between the beginnings of two faults, in ms. */
const pauseMs = [100, 900] as const;

/** How long faults last, in ms: from a blink to longer than heartbeat and command deadlines. */
const lengthMs = [200, 5000] as const;

/** With failovers, pauses are so many times longer: a replica that works has to be there to go through them. */
const failoverCalm = 2;

/** The same faults at the same times for the same options. */
export function makeSchedule({ seed, lengthMs: total, replicas, kinds }: ScheduleOptions): Fault[] {
  const random = new Random(seed);
  const quick = kinds.filter((kind) => !failovers[kind]);
  const calm = quick.length < kinds.length ? failoverCalm : 1;
  const schedule: Fault[] = [];
  for (let atMs = warmUpMs; atMs < total && quick.length > 0; atMs += calm * random.between(...pauseMs)) {
    const fault = draw(random, quick, atMs, replicas);
    if (atMs + fault.forMs <= total) schedule.push(fault);
  }
  const slow = kinds.filter((kind) => failovers[kind]);
  return [...schedule, ...failoversFor(random.fork(), slow, total, replicas)].toSorted((a, b) => a.atMs - b.atMs);
}

/** One failover after the other, each with the time it takes; at least one if there is any time at all. */
function failoversFor(random: Random, kinds: readonly FaultKind[], total: number, replicas: number): Fault[] {
  const schedule: Fault[] = [];
  for (let atMs = warmUpMs; atMs < total && kinds.length > 0; atMs += random.between(...pauseMs)) {
    const fault = draw(random, kinds, atMs, replicas);
    atMs += failovers[fault.kind]?.takesMs ?? 0;
    if (atMs <= total || schedule.length === 0) schedule.push(fault);
  }
  return schedule;
}

function draw(random: Random, kinds: readonly FaultKind[], atMs: number, replicas: number): Fault {
  return {
    kind: random.pick(kinds),
    atMs,
    forMs: random.between(...lengthMs),
    index: random.between(0, replicas - 1),
    share: random.chance(0.3) ? 1 : random.between(1, 50) / 100,
    bytes: random.between(0, 2000),
  };
}
