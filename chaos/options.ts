import { parseArgs } from "node:util";
import { defaultFaultsIn, type FaultKind, faultsIn, redisReplicas, type Topology, topologies } from "./schedule.ts";

/** What a run is asked for. */
export interface Options {
  readonly seed: number;
  readonly seconds: number;
  readonly clients: number;
  /** Share of the clients that speak Server-Sent Events, 0 to 1. */
  readonly sse: number;
  /** Publishes a second. */
  readonly rate: number;
  readonly faults: readonly FaultKind[];
  readonly redis: Topology;
  /** Replicas of a Redis master that must have a message before it is answered 202. */
  readonly wait: number;
}

const usage = `npm run chaos -- [options]
  --seed N       repeats the schedule of faults of an earlier run; default: random
  --seconds N    how long faults go on, default 60
  --clients N    default 200
  --sse SHARE    of the clients speak Server-Sent Events, 0 to 1, default 0.25
  --rate N       publishes a second, default 100
  --redis KIND   ${topologies.join(", ")}; default standalone
  --wait N       replicas of Redis that must have a message before it is answered 202; default all
  --faults LIST  comma separated, all, or none; default all but redis-flush:
${topologies.map((name) => `                 ${name}: ${faultsIn(name).join(", ")}`).join("\n")}`;

/**
 * Reads the command line.
 *
 * @throws Error with the usage when it is wrong
 */
export function readOptions(args: readonly string[]): Options {
  const names = ["seed", "seconds", "clients", "sse", "rate", "redis", "wait", "faults"] as const;
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" }] as const));
  try {
    const { values } = parseArgs({ args: [...args], options });
    const number = (name: string, preset: number, max: number, min = 1) => {
      const value = values[name] === undefined ? preset : Number(values[name]);
      if (Number.isInteger(value) && value >= min && value <= max) return value;
      throw new Error(`--${name}: a number from ${min} to ${max}`);
    };
    const redis = topologies.find((name) => name === (values["redis"] ?? "standalone"));
    if (!redis) throw new Error(`--redis: one of ${topologies.join(", ")}`);
    return {
      seed: number("seed", 1 + Math.floor(Math.random() * 999_999), 0xffffffff),
      seconds: number("seconds", 60, 3600),
      clients: number("clients", 200, 5000),
      sse: shareOf(values["sse"] as string | undefined),
      rate: number("rate", 100, 10_000),
      redis,
      // A planned failover takes any of the replicas, whoever has confirmed.
      wait: number("wait", redisReplicas[redis], redisReplicas[redis], 0),
      faults: faultsOf(values["faults"] as string | undefined, redis),
    };
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  }
}

function shareOf(text = "0.25"): number {
  const share = Number(text);
  if (text.trim() !== "" && share >= 0 && share <= 1) return share;
  throw new Error("--sse: a number from 0 to 1");
}

function faultsOf(list: string | undefined, topology: Topology): readonly FaultKind[] {
  const possible = faultsIn(topology);
  if (list === undefined) return defaultFaultsIn(topology);
  if (list === "all") return possible;
  if (list === "none") return [];
  return list.split(",").map((name) => {
    const kind = possible.find((known) => known === name);
    if (kind) return kind;
    const where = topologies.filter((other) => faultsIn(other).some((known) => known === name));
    throw new Error(
      where.length === 0
        ? `--faults: there is no ${name}`
        : `--faults: ${name} is possible with --redis ${where.join(" or ")}`,
    );
  });
}
