import type { Results } from "./results.ts";
import type { Workload } from "./workload.ts";
export async function writeDocs(_r: Results, _w: readonly Workload[]): Promise<void> {}
