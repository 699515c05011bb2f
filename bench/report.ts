import { type Measurement, type Row, rowsOf, type Spread } from "./results.ts";
import type { Column, Figures, Workload } from "./workload.ts";

/** A table's cells, the first row being its head. */
export type Table = readonly (readonly string[])[];

/** What came of a workload as a table. */
export function tableOf(workload: Workload, measurements: readonly Measurement[]): Table {
  const rows = rowsOf(workload, measurements);
  const headOf = ({ title, unit }: Column) => (unit === "" ? title : `${title}, ${unit}`);
  const withAdvantage = rows.some(({ advantage }) => advantage);
  const head = ["", ...workload.columns.map(headOf), ...(withAdvantage ? ["Belfry better, times"] : [])];
  return [head, ...rows.map((row) => cellsOf(row, workload.columns, withAdvantage))];
}

function cellsOf(row: Row, columns: readonly Column[], withAdvantage: boolean): string[] {
  const { label, spreads, advantage } = row;
  const counts = [row.lost > 0 && `${row.lost} lost`, row.refused > 0 && `${row.refused} refused`];
  const notes = [...counts, ...(spreads ? row.failures : [])].filter(Boolean);
  const name = notes.length > 0 ? `${label} (!) ${notes.join(", ")}` : label;
  const values = columns.map(({ key }) => (spreads?.[key] ? spreadText(spreads[key]) : (row.failures[0] ?? "")));
  return [name, ...values, ...(withAdvantage ? [advantage ? spreadText(advantage) : ""] : [])];
}

/** A table for a terminal. */
export function describeWorkload(workload: Workload, measurements: readonly Measurement[]): string {
  const table = tableOf(workload, measurements);
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0)));
  const lines = table.map((cells) => `  ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")}`.trimEnd());
  return [`${workload.name}: ${workload.title}`, ...lines].join("\n");
}

/** One run as a line. */
export function describeFigures({ values, lost, refused }: Figures, columns: readonly Column[]): string {
  const parts = columns.map(
    ({ key, title, unit }) => `${title} ${short(values[key] ?? Number.NaN)}${unit && ` ${unit}`}`,
  );
  if (lost > 0) parts.push(`LOST ${lost}`);
  if (refused > 0) parts.push(`REFUSED ${refused}`);
  return parts.join(", ");
}

function spreadText({ median, min, max }: Spread): string {
  const [least, most] = [short(min), short(max)];
  return least === most ? short(median) : `${short(median)} [${least} … ${most}]`;
}

/** A number with three digits that matter. */
export function short(value: number): string {
  if (Number.isNaN(value)) return "n/a";
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))} k`;
  return Number(value.toPrecision(3)).toLocaleString("en");
}
