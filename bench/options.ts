import { parseArgs } from "node:util";
import { type ServerName, serverNames } from "./contestants.ts";
import type { Scale, Workload } from "./workload.ts";
import { workloads } from "./workloads.ts";

/** Part of times and of connections that `--quick` has, and the least of each. */
const quickPart = 0.1;
const leastSeconds = 0.3;
const leastConnections = 20;

/** What a run is asked for. */
export interface Options {
  readonly workloads: readonly Workload[];
  readonly servers: readonly ServerName[];
  readonly rounds: number;
  readonly scale: Scale;
  readonly isQuick: boolean;
  /** File for the results; undefined: none. */
  readonly out: string | undefined;
  /** Write docs/benchmarks.md. */
  readonly docs: boolean;
  /** How the same is measured again, whatever becomes of the results. */
  readonly command: string;
}

const usage = `npm run bench -- [options]
  --only LIST      workloads, comma separated; default all: ${workloads.map(({ name }) => name).join(", ")}
  --servers LIST   of ${serverNames.join(", ")}; default all
  --rounds N       how often each is measured, default 3
  --quick          everything small, once: to see that it works, not for its figures
  --out FILE       write the results as JSON
  --docs           write docs/benchmarks.md and its plots`;

/**
 * Reads the command line.
 *
 * @throws Error with the usage when it is wrong
 */
export function readOptions(args: readonly string[]): Options {
  try {
    const text = { type: "string" } as const;
    const flag = { type: "boolean", default: false } as const;
    const options = { only: text, servers: text, rounds: text, out: text, quick: flag, docs: flag };
    const { values } = parseArgs({ args: [...args], options });
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new Error("--rounds: a number from 1 to 100");
    return {
      workloads: chosen(values.only),
      servers: listOf(values.servers, serverNames, "--servers"),
      rounds,
      scale: values.quick ? quick : full,
      isQuick: values.quick,
      out: values.out,
      docs: values.docs,
      command: commandOf(values),
    };
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  }
}

const full: Scale = { seconds: (seconds) => seconds, connections: (count) => count };

const quick: Scale = {
  seconds: (seconds) => Math.max(leastSeconds, seconds * quickPart),
  connections: (count) => Math.max(leastConnections, Math.round(count * quickPart)),
};

function commandOf({ only, servers, rounds, quick }: Readonly<Record<string, string | boolean | undefined>>): string {
  const given = Object.entries({ only, servers, rounds }).flatMap(([name, value]) =>
    value ? [`--${name} ${value}`] : [],
  );
  const all = [...given, ...(quick ? ["--quick"] : [])];
  return ["npm run bench", ...(all.length > 0 ? ["--", ...all] : [])].join(" ");
}

/** `W1` names W1 and all that begin with `W1-`. */
function chosen(list: string | undefined): readonly Workload[] {
  if (list === undefined) return workloads;
  const familyOf = ({ name }: Workload) => name.split("-", 1)[0] ?? "";
  const names = listOf(list, [...new Set(workloads.flatMap((one) => [one.name, familyOf(one)]))], "--only");
  return workloads.filter((one) => names.includes(one.name) || names.includes(familyOf(one)));
}

function listOf<T extends string>(list: string | undefined, known: readonly T[], option: string): readonly T[] {
  if (list === undefined) return known;
  return list.split(",").map((name) => {
    const found = known.find((one) => one === name);
    if (found === undefined) throw new Error(`${option}: there is no ${name}`);
    return found;
  });
}
