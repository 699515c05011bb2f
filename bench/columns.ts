import type { Column } from "./workload.ts";

/** Columns that several workloads have. */
export const deliveries: Column = { key: "deliveries", title: "deliveries/s", unit: "", better: "higher" };
export const p50: Column = { key: "p50", title: "p50", unit: "ms", better: "lower" };
export const p90: Column = { key: "p90", title: "p90", unit: "ms", better: "lower" };
export const p99: Column = { key: "p99", title: "p99", unit: "ms", better: "lower" };
export const p999: Column = { key: "p999", title: "p99.9", unit: "ms", better: "lower" };
export const cpu: Column = { key: "cpu", title: "CPU per delivery", unit: "µs", better: "lower" };
export const perRead: Column = { key: "perRead", title: "messages per read", unit: "", better: "higher" };
