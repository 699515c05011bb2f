import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const ticksPerSecond = Number(spawnSync("getconf", ["CLK_TCK"], { encoding: "utf8" }).stdout) || 100;

/** CPU time that a process has had, of all its threads, in s; NaN where /proc does not say. */
export function cpuSecondsOf(pid: number): number {
  // The name before may hold spaces and parentheses. Behind it the 12th and 13th field: proc_pid_stat(5).
  const fields = read(pid, "stat")
    ?.replace(/^.*\) /s, "")
    .split(" ");
  return fields ? (Number(fields[11]) + Number(fields[12])) / ticksPerSecond : Number.NaN;
}

/** Memory that a process has now, in bytes; NaN where /proc does not say. */
export function residentBytesOf(pid: number): number {
  return statusBytes(pid, "VmRSS");
}

/** The most that it had so far. */
export function peakResidentBytesOf(pid: number): number {
  return statusBytes(pid, "VmHWM");
}

function statusBytes(pid: number, name: string): number {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(read(pid, "status") ?? "")?.[1];
  return Number(kilobytes ?? Number.NaN) * 1024;
}

function read(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
