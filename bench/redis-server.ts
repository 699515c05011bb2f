import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisProcess } from "../chaos/redis-process.ts";
import { cores, pin } from "./machine.ts";

/** A `redis-server` that keeps everything in memory, on the servers' core. */
export class RedisServer {
  readonly pid: number;
  readonly #process: RedisProcess;
  readonly #directory: string;

  private constructor(process: RedisProcess, pid: number, directory: string) {
    this.#process = process;
    this.pid = pid;
    this.#directory = directory;
  }

  /** Starts one on a free port. */
  static async start(): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), "belfry-bench-"));
    const redis = await RedisProcess.start({ directory, lines: ['save ""', "appendonly no"] });
    const pid = Number((await redis.info("server"))["process_id"]);
    pin(pid, cores.server);
    return new RedisServer(redis, pid, directory);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#process.port}`;
  }

  /** Ends it and removes what it wrote. */
  async close(): Promise<void> {
    await this.#process.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
