import type { Contestant, Subject } from "./contestants.ts";

/** A figure that a workload finds. */
export interface Column {
  readonly key: string;
  readonly title: string;
  readonly unit: "" | "ms" | "µs" | "MB" | "KB" | "x";
  /** Whether more of it is better. */
  readonly better: "higher" | "lower";
}

/** How long and how large a run is. */
export interface Scale {
  /** A time in s, or a part of it with `--quick`. */
  seconds(full: number): number;
  /** A number of connections, or a part of it with `--quick`. */
  connections(full: number): number;
}

/** What one run found. */
export interface Figures {
  readonly values: Readonly<Record<string, number>>;
  /** Messages that did not arrive. */
  readonly lost: number;
  /** Requests that were refused or not answered. */
  readonly refused: number;
}

/** Something that is done to servers and measured. */
export interface Workload {
  /** What `--only` calls it; the part before a dash names a family. */
  readonly name: string;
  readonly title: string;
  /** What it says, for a reader of the figures. */
  readonly about: string;
  /** The first is the one that servers are compared by. */
  readonly columns: readonly [Column, ...Column[]];
  readonly contestants: readonly Contestant[];
  run(subject: Subject, scale: Scale, contestant: Contestant): Promise<Figures>;
}

/** Thrown by a run where a server does not have what is measured. */
export class NotOffered extends Error {
  override readonly name = "NotOffered";

  constructor() {
    super("not offered");
  }
}
