import { parseArgs } from "node:util";
import { defaultFaults, type FaultKind, faultKinds } from "./schedule.ts";

/** What a run is asked for. */
export interface Options {
  readonly seed: number;
  readonly seconds: number;
  readonly clients: number;
  /** Publishes a second. */
  readonly rate: number;
  readonly faults: readonly FaultKind[];
}

const usage = `npm run chaos -- [options]
  --seed N       repeats the schedule of faults of an earlier run; default: random
  --seconds N    how long faults go on, default 60
  --clients N    default 200
  --rate N       publishes a second, default 100
  --faults LIST  comma separated, all, or none; default all but redis-flush:
                 ${faultKinds.join(", ")}`;

/**
 * Reads the command line.
 *
 * @throws Error with the usage when it is wrong
 */
export function readOptions(args: readonly string[]): Options {
  const names = ["seed", "seconds", "clients", "rate", "faults"] as const;
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" }] as const));
  try {
    const { values } = parseArgs({ args: [...args], options });
    const number = (name: string, preset: number, max: number) => {
      const value = values[name] === undefined ? preset : Number(values[name]);
      if (!Number.isInteger(value) || value < 1 || value > max) throw new Error(`--${name}: a number from 1 to ${max}`);
      return value;
    };
    return {
      seed: number("seed", 1 + Math.floor(Math.random() * 999_999), 0xffffffff),
      seconds: number("seconds", 60, 3600),
      clients: number("clients", 200, 5000),
      rate: number("rate", 100, 10_000),
      faults: faultsOf(values["faults"] as string | undefined),
    };
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  }
}

function faultsOf(list: string | undefined): readonly FaultKind[] {
  if (list === undefined) return defaultFaults;
  if (list === "all") return faultKinds;
  if (list === "none") return [];
  return list.split(",").map((name) => {
    const kind = faultKinds.find((known) => known === name);
    if (!kind) throw new Error(`--faults: there is no ${name}`);
    return kind;
  });
}
