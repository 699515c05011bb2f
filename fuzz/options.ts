import { parseArgs } from "node:util";
import { type ConfigurationName, configurationNames } from "./configuration.ts";

/** What a run is asked for. */
export interface Options {
  readonly seed: number;
  /** Cases for each configuration, of which the second half repeats the first. */
  readonly count: number;
  /** Numbers of the cases to run, instead of all. */
  readonly only: readonly number[] | undefined;
  readonly configurations: readonly ConfigurationName[];
  /** Cases under way at once. */
  readonly concurrency: number;
}

const maxCount = 10_000_000;

const usage = `npm run fuzz -- [options]
  --seed N         repeats the cases of an earlier run; default: random
  --count N        cases for each configuration, the second half the same again; default 10000
  --only N,N       runs these cases alone, and prints what was sent and what came back
  --config NAME    ${configurationNames.join(" or ")}; default both
  --concurrency N  cases under way at once, default 48`;

/**
 * Reads the command line.
 *
 * @throws Error with the usage when it is wrong
 */
export function readOptions(args: readonly string[]): Options {
  const names = ["seed", "count", "only", "config", "concurrency"] as const;
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" }] as const));
  try {
    const { values } = parseArgs({ args: [...args], options });
    const number = (name: string, given: unknown, max: number) => {
      const value = Number(given);
      if (Number.isInteger(value) && value >= 1 && value <= max) return value;
      throw new Error(`--${name}: a number from 1 to ${max}`);
    };
    const { seed = 1 + Math.floor(Math.random() * 999_999), count = 10_000, concurrency = 48, only, config } = values;
    const configurations = configurationNames.filter((name) => config === undefined || name === config);
    if (configurations.length === 0) throw new Error(`--config: one of ${configurationNames.join(", ")}`);
    return {
      seed: number("seed", seed, 0xffffffff),
      count: number("count", count, maxCount),
      only: (only as string | undefined)?.split(",").map((one) => number("only", one, maxCount)),
      configurations,
      concurrency: number("concurrency", concurrency, 1000),
    };
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  }
}
