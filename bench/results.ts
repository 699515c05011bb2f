import type { Machine } from "./machine.ts";
import type { Column, Figures, Workload } from "./workload.ts";

/** What became of one server in one round of a workload. */
export interface Measurement {
  readonly workload: string;
  readonly label: string;
  readonly round: number;
  /** Undefined where there are none. */
  readonly figures: Figures | undefined;
  /** Why there are none: `not offered` where the server does not have what is measured. */
  readonly failure: string | undefined;
}

/** A run of the benchmarks, as it is written to a file. */
export interface Results {
  readonly date: string;
  readonly command: string;
  readonly rounds: number;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly measurements: readonly Measurement[];
}

/** The middle of some values and their ends. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** A server in a workload, over all rounds. */
export interface Row {
  readonly label: string;
  /** By the keys of the columns; undefined where no round has figures. */
  readonly spreads: Readonly<Record<string, Spread>> | undefined;
  /** How many times better Belfry is in the first column, in each round; undefined for Belfry's own rows, and without it. */
  readonly advantage: Spread | undefined;
  readonly lost: number;
  readonly refused: number;
  /** Why some rounds have no figures. */
  readonly failures: readonly string[];
}

/** What came of a workload. */
export function rowsOf(workload: Workload, measurements: readonly Measurement[]): Row[] {
  const own = measurements.filter((one) => one.workload === workload.name);
  const labels = workload.contestants
    .map(({ label }) => label)
    .filter((label) => own.some((one) => one.label === label));
  const ownLabels = workload.contestants.filter(({ server }) => server === "belfry").map(({ label }) => label);
  return labels.map((label) => {
    const rounds = own.filter((one) => one.label === label);
    const figures = rounds.flatMap((one) => one.figures ?? []);
    const spread = ({ key }: Column) => spreadOf(figures.map(({ values }) => values[key] ?? Number.NaN));
    const { key, better } = workload.columns[0];
    const ratios = rounds.flatMap(({ round, figures: theirs }) => {
      const ours = own.find((one) => one.label === ownLabels[0] && one.round === round)?.figures;
      const ratio = (ours?.values[key] ?? Number.NaN) / (theirs?.values[key] ?? Number.NaN);
      return Number.isNaN(ratio) ? [] : [better === "higher" ? ratio : 1 / ratio];
    });
    return {
      label,
      spreads:
        figures.length > 0 ? Object.fromEntries(workload.columns.map((one) => [one.key, spread(one)])) : undefined,
      advantage: !ownLabels.includes(label) && ratios.length > 0 ? spreadOf(ratios) : undefined,
      lost: figures.reduce((sum, { lost }) => sum + lost, 0),
      refused: figures.reduce((sum, { refused }) => sum + refused, 0),
      failures: rounds.flatMap(({ failure }) => failure?.split("\n", 1)[0] ?? []),
    };
  });
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}
