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
} as const;

/** Name of a fault. */
export type FaultKind = keyof typeof faultTargets;

/** Every fault there is. */
export const faultKinds = Object.keys(faultTargets) as FaultKind[];

/** Those inflicted by default: all but the one that is allowed to lose messages, which leaves less to check. */
export const defaultFaults = faultKinds.filter((kind) => kind !== "redis-flush");

/** One fault of a schedule. */
export interface Fault {
  readonly kind: FaultKind;
  /** When, in ms from the beginning. */
  readonly atMs: number;
  /** How long, in ms, where the kind takes any time. */
  readonly forMs: number;
  /** Which replica, its clients or its link; of no meaning for Redis. */
  readonly replica: number;
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

/** The same faults at the same times for the same options. */
export function makeSchedule({ seed, lengthMs: total, replicas, kinds }: ScheduleOptions): Fault[] {
  const random = new Random(seed);
  const schedule: Fault[] = [];
  if (kinds.length === 0) return schedule;
  for (let atMs = warmUpMs; atMs < total; atMs += random.between(...pauseMs)) {
    const fault: Fault = {
      kind: random.pick(kinds),
      atMs,
      forMs: random.between(...lengthMs),
      replica: random.between(0, replicas - 1),
      share: random.chance(0.3) ? 1 : random.between(1, 50) / 100,
      bytes: random.between(0, 2000),
    };
    if (atMs + fault.forMs <= total) schedule.push(fault);
  }
  return schedule;
}
