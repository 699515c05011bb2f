import type { BenchOptions } from "./bench-options.ts";
import type { Percentiles } from "./histogram.ts";
import type { LoadReport } from "./load.ts";

/** A run as a table for a terminal. */
export function describeLoad(options: BenchOptions, report: LoadReport): string {
  const { accepted, refused, failed, late, lost, extra } = report;
  const closed = countsOf(report.closes);
  const rows: [name: string, value: string][] = [
    [
      "published",
      `${whole(accepted)} messages in ${report.seconds.toFixed(2)} s, ${whole(report.acceptedPerSecond)}/s`,
    ],
    ["answers", `${countsOf(report.statuses)}; ${inMs(report.publishLatency)}`],
    ["deliveries", `${whole(report.deliveries)}, ${whole(report.deliveriesPerSecond)}/s, ${megabytes(report.bytes)}`],
    ["latency", inMs(report.latency)],
    ["lost", `${whole(lost)}${extra > 0 ? `; ${whole(extra)} came that this run did not send` : ""}`],
  ];
  if (refused > 0) rows.push(["refused", `${whole(refused)} messages${hintFor(report.statuses)}`]);
  if (failed > 0) rows.push(["failed", `${whole(failed)} requests: ${report.failure}`]);
  if (late > 0) rows.push(["not sent", `${whole(late)} messages: the answers came too late for this rate`]);
  if (closed) rows.push(["closed", `connections that the server closed: ${closed}`]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return [titleOf(options), "", ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)].join("\n");
}

/** A run as one line of JSON; times in ms. */
export function jsonOf(options: BenchOptions, report: LoadReport): string {
  const { apiKey, ...shown } = options;
  const { latency, publishLatency, ...counts } = report;
  return JSON.stringify({
    ...shown,
    ...counts,
    latencyMs: roundedMs(latency),
    publishLatencyMs: roundedMs(publishLatency),
  });
}

function titleOf({ url, connections, publishers, size, to }: BenchOptions): string {
  const whom = to === "broadcast" ? "everyone" : "one user each";
  const sizes = [counted(connections, "connection"), counted(publishers, "publisher"), `${size} bytes to ${whom}`];
  return `${url}: ${sizes.join(", ")}`;
}

function hintFor(statuses: Readonly<Record<string, number>>): string {
  if (statuses["401"]) return ": the server wants an API key; set BELFRY_API_KEY";
  if (statuses["403"]) return ": this API key may not publish";
  if (statuses["404"]) return ": the publisher API is elsewhere; see --api-url";
  if (statuses["413"]) return ": --size is above MAX_PAYLOAD_BYTES of the server";
  if (statuses["429"]) return ": above MAX_PUBLISHES_PER_SECOND of the server";
  return "";
}

function countsOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${whole(count)}`)
    .join(", ");
}

function inMs(percentiles: Percentiles): string {
  if (percentiles.count === 0) return "nothing came";
  const { p50, p90, p99, p999, max } = roundedMs(percentiles);
  return `p50 ${p50}, p90 ${p90}, p99 ${p99}, p99.9 ${p999}, max ${max} ms`;
}

function roundedMs({ p50, p90, p99, p999, max }: Percentiles) {
  const rounded = (ns: number) => Number((ns / 1e6).toPrecision(3));
  return { p50: rounded(p50), p90: rounded(p90), p99: rounded(p99), p999: rounded(p999), max: rounded(max) };
}

function counted(count: number, noun: string): string {
  return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
