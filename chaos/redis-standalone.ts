import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { durable, RedisProcess } from "./redis-process.ts";

/** One Redis server on a Unix socket that loses nothing it has answered. */
export class StandaloneRedis {
  readonly #directory: string;
  readonly #process: RedisProcess;

  private constructor(directory: string, process: RedisProcess) {
    this.#directory = directory;
    this.#process = process;
  }

  /** Starts it in a new temporary directory. */
  static async start(): Promise<StandaloneRedis> {
    const directory = await mkdtemp(join(tmpdir(), "belfry-redis-"));
    try {
      return new StandaloneRedis(directory, await RedisProcess.startOnSocket({ directory, lines: durable }));
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Its Unix socket. */
  get path(): string {
    return this.#process.path;
  }

  /** Cuts connections of one type on the server's side. */
  async killClients(type: "normal" | "pubsub"): Promise<void> {
    await this.#process.call("CLIENT", "KILL", "TYPE", type);
  }

  /** Deletes everything. */
  async flush(): Promise<void> {
    await this.#process.call("FLUSHALL");
  }

  /** Stands still for a while: connections stay, and nothing is answered. */
  async freeze(forMs: number): Promise<void> {
    this.#process.freeze();
    await pause(forMs);
    this.#process.thaw();
  }

  /** Ends, is away for a while, and comes back with what it had. */
  async restart(signal: "SIGTERM" | "SIGKILL", awayMs: number): Promise<void> {
    await this.#process.end(signal);
    await pause(awayMs);
    await this.#process.comeBack();
  }

  /** Ends it and removes what it wrote. */
  async close(): Promise<void> {
    await this.#process.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
