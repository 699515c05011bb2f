import { mkdir, readFile, writeFile } from "node:fs/promises";
import { plotOf } from "./plot.ts";
import { tableOf } from "./report.ts";
import type { Results } from "./results.ts";
import type { Workload } from "./workload.ts";

const page = new URL("../docs/benchmarks.md", import.meta.url);
const plots = new URL("../docs/benchmarks/", import.meta.url);

/** Between these the page is written anew. */
const markers = ["<!-- results: written by npm run bench -- --docs -->", "<!-- end of results -->"] as const;

/** Writes the results into docs/benchmarks.md, and their plot beside it. */
export async function writeDocs(results: Results, workloads: readonly Workload[]): Promise<void> {
  const text = await readFile(page, "utf8");
  const [start, end] = markers.map((marker) => text.indexOf(marker)) as [number, number];
  if (start === -1 || end < start) throw new Error("docs/benchmarks.md has lost its markers");
  await mkdir(plots, { recursive: true });
  await writeFile(new URL("advantage.svg", plots), plotOf(results, workloads));
  const written = [
    markers[0],
    "",
    setting(results),
    "",
    plotLink,
    "",
    ...workloads.map((one) => section(one, results)),
  ];
  await writeFile(page, `${text.slice(0, start)}${written.join("\n")}${text.slice(end)}`);
}

const plotLink =
  "![How many times better Belfry is in each workload, on a logarithmic scale](benchmarks/advantage.svg)";

function setting({ date, command, rounds, machine, versions }: Results): string {
  const rows: [string, string][] = [
    ["date", date],
    ["command", `\`${command}\`, ${rounds} rounds`],
    ["machine", `${machine.cores} cores of ${machine.cpu}, ${machine.memoryGb} GB, ${machine.system}`],
    [
      "cores",
      machine.isPinned ? "servers on one, the load on another" : "not kept apart: no taskset, or one core alone",
    ],
    ["Node", machine.node],
    ...Object.entries(versions),
  ];
  return ["| | |", "| --- | --- |", ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join("\n");
}

function section(workload: Workload, { measurements }: Results): string {
  const [head = [], ...rows] = tableOf(workload, measurements);
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const table = [line(head), line(head.map(() => "---")), ...rows.map(line)];
  return [`### ${workload.name}: ${workload.title}`, "", workload.about, "", ...table, "", ""].join("\n");
}
