import { short } from "./report.ts";
import { type Results, rowsOf, type Spread } from "./results.ts";
import type { Workload } from "./workload.ts";

const width = 860;
const lineHeight = 20;
/** Where the scale begins and ends. */
const [left, right] = [300, 780] as const;

const style = `
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600 }
    .better { fill: #1a7f37 } .worse { fill: #cf222e }
    line { stroke: #d0d7de } .one, .range { stroke: #1f2328 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .better { fill: #3fb950 } .worse { fill: #f85149 }
      line { stroke: #30363d } .one, .range { stroke: #e6edf3 }
    }`;

interface Bar {
  readonly label: string;
  readonly advantage: Spread;
}

/** A drawing of how many times better Belfry is than each server in each workload, on a logarithmic scale. */
export function plotOf(results: Results, workloads: readonly Workload[]): string {
  const groups = workloads
    .map((workload) => ({ name: `${workload.name}, ${workload.columns[0].title}`, bars: barsOf(workload, results) }))
    .filter(({ bars }) => bars.length > 0);
  const all = groups.flatMap(({ bars }) => bars.flatMap(({ advantage }) => [advantage.min, advantage.max]));
  const [low, high] = [Math.floor(Math.log10(Math.min(0.1, ...all))), Math.ceil(Math.log10(Math.max(10, ...all)))];
  const x = (value: number) => round(left + ((Math.log10(value) - low) / (high - low)) * (right - left));
  const lines: string[] = [];
  let y = 2 * lineHeight;
  for (const { name, bars } of groups) {
    lines.push(`<text class="title" x="8" y="${y}">${escaped(name)}</text>`);
    for (const bar of bars) {
      y += lineHeight;
      lines.push(drawn(bar, y, x));
    }
    y += 1.5 * lineHeight;
  }
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  const grid = ticks.map((tick) => {
    const at = x(tick);
    const label = `<text x="${at}" y="16" text-anchor="middle">${tick < 1 ? `1/${Math.round(1 / tick)}` : tick}</text>`;
    return `${label}<line class="${tick === 1 ? "one" : ""}" x1="${at}" x2="${at}" y1="22" y2="${y - lineHeight}"/>`;
  });
  const size = `width="${width}" height="${y}" viewBox="0 0 ${width} ${y}"`;
  const title = "How many times better Belfry is in each workload";
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">
  <title>${title}</title>
  <style>${style}
  </style>
  ${[...grid, ...lines].join("\n  ")}
</svg>
`;
}

function barsOf(workload: Workload, { measurements }: Results): Bar[] {
  return rowsOf(workload, measurements).flatMap(({ label, advantage }) =>
    advantage && Number.isFinite(advantage.max) && advantage.min > 0 ? [{ label, advantage }] : [],
  );
}

/** The bar goes from 1 to the median, the line on it from the least to the most. */
function drawn({ label, advantage }: Bar, y: number, x: (value: number) => number): string {
  const { median, min, max } = advantage;
  const [from, to] = [Math.min(x(1), x(median)), Math.max(x(1), x(median))];
  const kind = median >= 1 ? "better" : "worse";
  return [
    `<text x="${left - 8}" y="${y}" text-anchor="end">${escaped(label)}</text>`,
    `<rect class="${kind}" x="${from}" y="${y - 11}" width="${round(to - from)}" height="13"/>`,
    `<line class="range" x1="${x(min)}" x2="${x(max)}" y1="${y - 4.5}" y2="${y - 4.5}"/>`,
    `<text x="${right + 12}" y="${y}">${short(median)}</text>`,
  ].join("");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
