import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quoted, RedisProcess, type RedisProcessOptions } from "./redis-process.ts";
import { until } from "./until.ts";

/** How long it may take until another server has become master, in ms. */
const promotionTimeoutMs = 30_000;

/** How long it may take until all servers know each other and every replica has everything, in ms. */
const wholeTimeoutMs = 60_000;

/** Brings back what was taken away; resolves when all servers work together again. */
export type BringBack = () => Promise<void>;

/** Redis servers on 127.0.0.1 that replicate, and put a replica in the place of a master that is gone. */
export abstract class ReplicatedRedis {
  readonly #directory: string;
  readonly #processes: RedisProcess[] = [];
  /** Ends what is waited for: all is over, or a process has ended on its own. */
  readonly #closing = new AbortController();

  protected constructor(directory: string) {
    this.#directory = directory;
  }

  /** What Belfry takes as REDIS_URL. */
  abstract readonly url: string;

  /**
   * The present master of a shard, of which only a cluster has more than number 0.
   *
   * @returns undefined while those that have a say do not agree, or it is not running
   */
  abstract findMaster(shard?: number): Promise<RedisProcess | undefined>;

  /** Asks for another master, although nothing is wrong with the present one. */
  protected abstract askForFailover(shard: number): Promise<void>;

  /** True when every process runs and knows of the others, and every replica keeps up with its master. */
  protected abstract isWhole(): Promise<boolean>;

  /** Puts another server in the place of a master, as an operator would; resolves when all is whole again. */
  async failover(shard = 0): Promise<void> {
    const old = await this.#master(shard);
    await this.askForFailover(shard);
    await this.#promotion(old, shard);
    await this.whole();
  }

  /**
   * Kills a master with SIGKILL.
   *
   * @returns when another one is master; call what it returns to start the old one again
   */
  async killMaster(shard = 0): Promise<BringBack> {
    const old = await this.#master(shard);
    await old.end("SIGKILL");
    await this.#promotion(old, shard);
    return async () => {
      await old.comeBack();
      await this.whole();
    };
  }

  /**
   * Stops a master with SIGSTOP.
   *
   * @returns when another one is master; call what it returns to wake the old one, which then still thinks that it is master
   */
  async stopMaster(shard = 0): Promise<BringBack> {
    const old = await this.#master(shard);
    old.freeze();
    await this.#promotion(old, shard);
    return async () => {
      old.thaw();
      await this.whole();
    };
  }

  /** Ends all processes and removes what they wrote. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("Redis was closed"));
    await Promise.all(this.#processes.map((process) => process.close()));
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Starts a process that ends with the others. */
  protected async launch(options: Omit<RedisProcessOptions, "directory">): Promise<RedisProcess> {
    const directory = await mkdtemp(join(this.#directory, "redis-"));
    const process = await RedisProcess.start({
      ...options,
      directory,
      onFailure: (error) => this.#closing.abort(error),
    });
    this.#processes.push(process);
    return process;
  }

  /** Resolves when all servers work together. */
  protected async whole(): Promise<void> {
    await this.until("all Redis servers work together", () => this.isWhole(), wholeTimeoutMs);
  }

  /** Waits for a condition as long as all processes live that were not ended on purpose. */
  protected until(what: string, condition: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    return until(what, condition, timeoutMs, this.#closing.signal);
  }

  async #master(shard: number): Promise<RedisProcess> {
    let master: RedisProcess | undefined;
    const isFound = async () => {
      master = await this.findMaster(shard);
      return master !== undefined;
    };
    await this.until("a Redis server is master", isFound, promotionTimeoutMs);
    return master as RedisProcess;
  }

  async #promotion(old: RedisProcess, shard: number): Promise<void> {
    const isDone = async () => {
      const master = await this.findMaster(shard);
      return master !== undefined && master !== old;
    };
    await this.until("another Redis server is master", isDone, promotionTimeoutMs);
  }
}

/** A temporary directory for the processes of a topology. */
export function makeDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), "belfry-redis-"));
}

/** True when a server is a master to which so many replicas are connected. */
export async function isMasterOf(process: RedisProcess, replicas: number): Promise<boolean> {
  const { role, ...info } = await process.info("replication");
  const online = Object.entries(info).filter(
    ([name, value]) => /^slave\d+$/.test(name) && value.includes("state=online"),
  );
  return role === "master" && online.length === replicas;
}

/** True when a server is a replica that has what its master had, and is connected to it. */
export async function isReplicaOf(process: RedisProcess, master: RedisProcess): Promise<boolean> {
  const { role, master_port: port, master_link_status: link } = await process.info("replication");
  return role === "slave" && port === String(master.port) && link === "up";
}

/** The user in a URL: none, or nobody with a password. */
export function userInfo(password: string | undefined): string {
  return password === undefined ? "" : `:${encodeURIComponent(password)}@`;
}

/** By which a server asks for a password, and gives it to its master. */
export function secretLines(password: string | undefined): string[] {
  return password === undefined ? [] : [`requirepass ${quoted(password)}`, `masterauth ${quoted(password)}`];
}
