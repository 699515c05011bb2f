import { type ExecFileException, execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** Root of the repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** How a command ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in the root of the repository to its end, whatever that is. */
export function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const options = { cwd: root, env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (error: ExecFileException | null, stdout, stderr) => {
      const code = error ? error.code : 0;
      if (typeof code === "number") resolve({ code, stdout, stderr });
      else reject(error);
    });
  });
}

/** Runs a command that must succeed, and resolves with what it printed, without the white space around it. */
export async function mustRun(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, env);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
  return stdout.trim();
}

/** Runs a docker command that must succeed. */
export function docker(...args: string[]): Promise<string> {
  return mustRun("docker", args);
}

/** Starts a container in the background that is removed with the test, and resolves with its id. */
export async function startContainer(...args: string[]): Promise<string> {
  const id = await docker("run", "--detach", ...args);
  onTestFinished(async () => {
    await docker("rm", "--force", "--volumes", id);
  });
  return id;
}

/** The port of this machine that leads to a container's. */
export async function portOf(container: string, port: number): Promise<number> {
  const [address = ""] = (await docker("port", container, String(port))).split("\n");
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

/** Waits until a condition holds; a rejection counts as not yet. */
export async function eventually(condition: () => Promise<boolean>, patienceMs = 30_000): Promise<void> {
  const deadline = Date.now() + patienceMs;
  let last: unknown;
  while (Date.now() < deadline) {
    const holds = await condition().catch((error: unknown) => {
      last = error;
      return false;
    });
    if (holds) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`never came true: ${condition}`, { cause: last });
}
