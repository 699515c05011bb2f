import type { Checker } from "./checker.ts";
import type { Violation } from "./violation.ts";

/** Most violations that are printed one by one. */
const maxPrinted = 30;

/** Counts by table and name. */
export class Tally {
  readonly #tables = new Map<string, Map<string, number>>();

  /** Adds one. */
  count(table: string, name: string): void {
    let counts = this.#tables.get(table);
    if (!counts) {
      counts = new Map();
      this.#tables.set(table, counts);
    }
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }

  /** The sum of a table. */
  total(table: string): number {
    return [...(this.#tables.get(table)?.values() ?? [])].reduce((sum, count) => sum + count, 0);
  }

  /** The table's rows, by name. */
  rows(table: string): [name: string, count: number][] {
    return [...(this.#tables.get(table) ?? [])].toSorted(([a], [b]) => a.localeCompare(b));
  }
}

/** What a run was and what came of it, as text for a terminal. */
export function describeRun(title: string, tally: Tally, checker: Checker): string {
  const inOneLine = (table: string) =>
    tally
      .rows(table)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ");
  const { violations, warnings } = checker;
  const rows: [string, string | number][] = [
    ...tally.rows("faults"),
    ["faults", tally.total("faults")],
    ["", ""],
    ["publishes (202)", `${tally.total("publishes")} (${inOneLine("publishes")})`],
    ["publish calls", inOneLine("calls")],
    ["deliveries", `${checker.deliveries} (${inOneLine("deliveries")})`],
    ["frames posted", `${tally.total("posts")} (${inOneLine("posts")})`],
    ["connections ended", `${tally.total("closes")} (${inOneLine("closes")})`],
    ["topics", inOneLine("topics")],
    ["users' topics", inOneLine("changes")],
    ["streams resumed", `${tally.total("resumes")} (${inOneLine("resumes")})`],
    ["warnings", warnings.length],
    ["violations", violations.length],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const table = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`.trimEnd());
  return [title, "", ...table, ...list("Warnings", warnings), ...list("Violations", violations)].join("\n");
}

function list(title: string, found: readonly Violation[]): string[] {
  if (found.length === 0) return [];
  const more = found.length - maxPrinted;
  const lines = found.slice(0, maxPrinted).map((violation) => `  ${describe(violation)}`);
  return ["", `${title}:`, ...lines, ...(more > 0 ? [`  and ${more} more`] : [])];
}

function describe({ kind, client, stream, epoch, offsets, detail }: Violation): string {
  const range = offsets && (offsets[0] === offsets[1] ? `${offsets[0]}` : `${offsets[0]} to ${offsets[1]}`);
  const place = [stream, epoch, range].filter((part) => part !== undefined).join(" ");
  return [kind, client, place, detail].filter((part) => part !== undefined && part !== "").join(" | ");
}
