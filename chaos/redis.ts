import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis as Client } from "ioredis";
import { Child } from "./child.ts";

/** How long Redis may take to come up and read its log, in ms. */
const startTimeoutMs = 20_000;

/** A `redis-server` of its own that loses nothing it has answered: every write is on disk before the answer. */
export class Redis {
  readonly #directory: string;
  readonly #admin: Client;
  #child: Child | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#admin = new Client(this.path, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
    this.#admin.on("error", () => {});
  }

  /** Starts it in a new temporary directory. */
  static async start(): Promise<Redis> {
    const redis = new Redis(await mkdtemp(join(tmpdir(), "belfry-chaos-")));
    await redis.#start();
    return redis;
  }

  /** Its Unix socket: no port that somebody else could take between two lives. */
  get path(): string {
    return join(this.#directory, "redis.sock");
  }

  /** Cuts connections of one type on the server's side. */
  async killClients(type: "normal" | "pubsub"): Promise<void> {
    await this.#admin.call("CLIENT", "KILL", "TYPE", type);
  }

  /** Deletes everything. */
  async flush(): Promise<void> {
    await this.#admin.flushall();
  }

  /** Stands still for a while: connections stay, and nothing is answered. */
  async freeze(forMs: number): Promise<void> {
    this.#child?.signal("SIGSTOP");
    await pause(forMs);
    this.#child?.signal("SIGCONT");
  }

  /** Ends, is away for a while, and comes back with what it had. */
  async restart(signal: "SIGTERM" | "SIGKILL", awayMs: number): Promise<void> {
    await this.#child?.end(signal);
    await pause(awayMs);
    await this.#start();
  }

  /** Ends it and removes what it wrote. */
  async close(): Promise<void> {
    this.#admin.disconnect();
    await this.#child?.end("SIGKILL");
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const settings = { port: 0, unixsocket: this.path, dir: this.#directory, save: "" };
    const persistence = { appendonly: "yes", appendfsync: "always" };
    const args = Object.entries({ ...settings, ...persistence }).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    this.#child = new Child("redis-server", args, { stdio: "ignore" });
    const timeout = AbortSignal.timeout(startTimeoutMs);
    const aborted = new Promise<never>((_, reject) => {
      timeout.onabort = () => reject(new Error("redis-server did not come up"));
    });
    await Promise.race([this.#admin.ping(), aborted]);
  }
}
