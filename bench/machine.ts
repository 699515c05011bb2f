import { spawnSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

/** Which cores what runs on, where that can be said. */
export const cores = { server: 0, load: 1 } as const;

/** True where processes can be kept on a core of their own: with taskset and two cores. */
const canPin = cpus().length >= 2 && spawnSync("taskset", ["--version"]).status === 0;

/** Keeps a process with all its threads on a core; does nothing where that cannot be. */
export function pin(pid: number, core: number): void {
  if (!canPin) return;
  const { status, stderr } = spawnSync("taskset", ["-a", "-c", "-p", String(core), String(pid)], { encoding: "utf8" });
  if (status !== 0) throw new Error(`taskset: ${stderr}`);
}

/** What a reader must know of the machine. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  readonly isPinned: boolean;
}

/** This machine. */
export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
    isPinned: canPin,
  };
}
