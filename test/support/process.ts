import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { SecretWatch } from "./secrets.ts";
import { callerOf, type Service } from "./service.ts";

/** How the tests start what users start as `belfry`: from the sources, so that no build can be stale. */
const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url));

/** A `belfry serve` of its own. */
export interface ServiceProcess {
  readonly child: ChildProcess;
  readonly port: number;
  readonly call: Service["call"];
  readonly logs: string[];
  /** Resolves with the exit code when the process has ended. */
  readonly exited: Promise<number | null>;
}

/**
 * Runs a command of the CLI to its end.
 *
 * @param fileLimit files that it may open; default as many as the tests may
 */
export async function runCli(args: readonly string[], env: Record<string, string> = {}, fileLimit?: number) {
  const limit = fileLimit === undefined ? "" : `ulimit -n ${fileLimit};`;
  const child = spawn("sh", ["-c", `${limit} exec "$0" "$@"`, process.execPath, cli, ...args], {
    env: { ...bareEnv(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [code] = (await once(child, "close")) as [number | null];
  watchOf(env).expectNone("what was said on standard error", [stderr]);
  return { code, stdout, stderr };
}

/** Starts `belfry serve` on a free port and waits until it listens. */
export async function startProcess(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const settings = { PORT: "0", HOST: "127.0.0.1", LOG_LEVEL: "debug", ...env };
  const child = spawn(process.execPath, [cli, "serve"], {
    env: { ...bareEnv(), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const watch = watchOf(settings);
  const exited = once(child, "exit").then(([code]) => code as number | null);
  const logs: string[] = [];
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
    process.stderr.write(chunk);
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
    watch.expectNone("the logs", [...logs, stderr]);
  });
  const listening = Promise.withResolvers<number>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    logs.push(line);
    const { msg, port } = JSON.parse(line) as { msg: string; port?: number };
    if (msg === "Belfry is listening" && port !== undefined) listening.resolve(port);
  });
  void exited.then((code) => listening.reject(new Error(`belfry ended with ${code} before it listened`)));
  const port = await listening.promise;
  return { child, port, logs, exited, call: callerOf(port, watch) };
}

/** Watches over the secrets in the environment of a process. */
function watchOf({ JWT_SECRET, API_KEYS, WEBHOOK_SECRET }: Readonly<Record<string, string>>): SecretWatch {
  const watch = new SecretWatch();
  watch.check([JWT_SECRET, ...(API_KEYS?.split(",") ?? [])]);
  watch.keep(WEBHOOK_SECRET);
  return watch;
}

/** The environment without anything that configures Belfry or the test runner. */
function bareEnv(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "" };
}
