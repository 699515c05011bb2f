/** What the service takes up. */
export interface Footprint {
  readonly connections: number;
  /** Open files, sockets among them; undefined where the system does not say. */
  readonly files: number | undefined;
  readonly rssBytes: number;
  readonly heapBytes: number;
}

/** Reads it from what /metrics answers. */
export function readFootprint(metrics: string): Footprint {
  const sampleOf = (sample: string) => {
    const line = metrics.split("\n").find((one) => one.startsWith(`${sample} `));
    return line === undefined ? undefined : Number(line.slice(sample.length + 1));
  };
  return {
    connections: sampleOf('belfry_connections{transport="ws"}') ?? 0,
    files: sampleOf("process_open_fds"),
    rssBytes: sampleOf("process_resident_memory_bytes") ?? 0,
    heapBytes: sampleOf("nodejs_heap_size_used_bytes") ?? 0,
  };
}
