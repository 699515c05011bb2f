import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";

const running = new Set<ChildProcess>();

// Whatever ends this process: nothing that it started stays behind.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A process that was started here, and is ended by its handle. */
export class Child {
  readonly process: ChildProcess;
  /** Resolves when it has ended. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;

  constructor(command: string, args: readonly string[], options: SpawnOptions) {
    this.process = spawn(command, args, options);
    running.add(this.process);
    this.exited = once(this.process, "exit").then(([code, signal]) => {
      running.delete(this.process);
      return { code, signal };
    });
  }

  /** Sends a signal. */
  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }

  /** Sends a signal that ends it, SIGKILL when that did not help in time, and waits for its end. */
  async end(name: NodeJS.Signals, patienceMs = 10_000): Promise<{ code: number | null; inTime: boolean }> {
    let inTime = true;
    const timer = setTimeout(() => {
      inTime = false;
      this.signal("SIGKILL");
    }, patienceMs);
    this.signal(name);
    try {
      const { code } = await this.exited;
      return { code, inTime };
    } finally {
      clearTimeout(timer);
    }
  }
}
