/** What `belfry bench` is asked for. */
export interface BenchOptions {
  readonly url: string;
  /** Where the publisher API is, when it has a port of its own. */
  readonly apiUrl?: string | undefined;
  readonly connections: number;
  readonly publishers: number;
  readonly messages?: number | undefined;
  readonly seconds?: number | undefined;
  /** Messages a second. */
  readonly rate?: number | undefined;
  readonly size: number;
  readonly to: "broadcast" | "user";
  readonly burst: number;
  readonly batch: number;
  readonly apiKey?: string | undefined;
  readonly compression?: boolean | undefined;
  /** Print JSON also to a terminal. */
  readonly json?: boolean | undefined;
  /** Load a server that is not on this machine. */
  readonly yes?: boolean | undefined;
}
