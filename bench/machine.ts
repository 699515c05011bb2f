import { spawnSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

/** Which cores what runs on, where that can be said. */
export const cores = { server: 0, load: 1 } as const;

/** How often it is tried to keep a process on a core while its threads come and go. */
const maxPinTries = 10;

/** True where processes can be kept on a core of their own: with taskset and two cores. */
const canPin = cpus().length >= 2 && spawnSync("taskset", ["--version"]).status === 0;

/** A command that keeps to a core from its beginning; as it is where that cannot be. */
export function onCore(core: number, command: string, args: readonly string[]): [command: string, args: string[]] {
  return canPin ? ["taskset", ["-c", String(core), command, ...args]] : [command, [...args]];
}

/** Keeps a process that runs, with all its threads, on a core; does nothing where that cannot be. */
export function pin(pid: number, core: number): void {
  if (!canPin) return;
  for (let tries = 1; ; tries++) {
    const { status, stderr } = spawnSync("taskset", ["-a", "-c", "-p", String(core), String(pid)], {
      encoding: "utf8",
    });
    if (status === 0) return;
    // A thread that ended after taskset had made its list of them.
    if (!stderr.includes("No such process") || tries === maxPinTries) throw new Error(stderr);
  }
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
    system: `${process.platform} ${release().split(".", 2).join(".")}`,
    node: process.version,
    isPinned: canPin,
  };
}
