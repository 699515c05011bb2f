import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Percentiles } from "../src/load/histogram.ts";
import type { Subject } from "./contestants.ts";

/** Clients that a prober can connect with, by index; beyond those of the load. */
const maxProbes = 2000;

/** What a prober does. */
export type Probing =
  /** Connects so many at once; ends when all are ready, or after 15 s. */
  | { readonly kind: "crowd"; readonly count: number }
  /** Asks for /healthz and connects somebody new, at a steady pace, for a time. */
  | { readonly kind: "pulse"; readonly seconds: number };

/** How many of a crowd were ready, and after what time. */
export interface CrowdReport {
  readonly ready: number;
  readonly seconds: number;
}

/** How late answers were, in ns from when the question was due. */
export interface PulseReport {
  readonly health: Percentiles;
  readonly newcomer: Percentiles;
}

type ReportOf<P extends Probing> = P extends { kind: "crowd" } ? CrowdReport : PulseReport;

/** Asks a server from a thread of its own, while the load keeps this one busy. */
export async function probe<P extends Probing>(subject: Subject, firstIndex: number, probing: P): Promise<ReportOf<P>> {
  const connections = Array.from({ length: maxProbes }, (_, i) => ({
    ...subject.connection(firstIndex + i),
    compression: false,
  }));
  const workerData = { connections, probing };
  const worker = new Worker(new URL("prober-thread.ts", import.meta.url), { workerData });
  try {
    const [report] = (await once(worker, "message")) as [ReportOf<P>];
    return report;
  } finally {
    await worker.terminate();
  }
}
