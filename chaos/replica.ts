import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SecretWatch } from "../test/support/secrets.ts";
import { Child } from "./child.ts";
import type { TcpProxy } from "./proxy.ts";

const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));

/** How long a replica may take to listen, in ms. */
const startTimeoutMs = 30_000;

/** The window in which a replica drains, in ms, and what it may take beyond it. */
const drainMs = 2000;
const drainPatienceMs = 5000;

/** Settings under which nothing is trimmed and what is dead is noticed within the run. */
const settings = {
  HOST: "127.0.0.1",
  PORT: "0",
  HISTORY_SIZE: "1000000",
  PING_INTERVAL_MS: "1500",
  PONG_TIMEOUT_MS: "1500",
  DRAIN_TIMEOUT_MS: String(drainMs),
};

/** What a {@link Replica} is made of. */
export interface ReplicaOptions {
  readonly name: string;
  /** The way that clients and publishers take. */
  readonly front: TcpProxy;
  /** The way to Redis; undefined where it goes there by itself. */
  readonly link: TcpProxy | undefined;
  /** Settings by which it finds Redis. */
  readonly redis: Readonly<Record<string, string>>;
  /** Told when it ends on its own, or does not end when asked to. */
  readonly onFailure: (detail: string) => void;
}

/** A `belfry serve`, reached through a proxy. */
export class Replica {
  readonly front: TcpProxy;
  readonly link: TcpProxy | undefined;
  readonly #options: ReplicaOptions;
  readonly #watch = new SecretWatch();
  #child: Child | undefined;
  #ending = false;

  constructor(options: ReplicaOptions) {
    this.front = options.front;
    this.link = options.link;
    this.#options = options;
  }

  /** True while it takes connections; a frozen one does, in its way. */
  get isLive(): boolean {
    return this.front.target !== undefined;
  }

  /** Starts the process and waits until it listens. */
  async start(): Promise<void> {
    this.#ending = false;
    const { name, redis, onFailure } = this.#options;
    const env = { PATH: process.env["PATH"] ?? "", ...settings, ...redis };
    const child = new Child(process.execPath, [cli, "serve"], { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const listening = Promise.withResolvers<number>();
    const { stdout, stderr } = child.process;
    if (!stdout || !stderr) throw new Error("no output");
    createInterface({ input: stdout }).on("line", (line) => {
      if (line.includes('"Belfry is listening"')) listening.resolve((JSON.parse(line) as { port: number }).port);
      else if (this.#watch.leakIn(line) !== undefined) onFailure(`a secret in the log: ${line.slice(0, 500)}`);
      else if (/"level":(50|60|"error"|"fatal")/.test(line)) onFailure(line.slice(0, 500));
    });
    createInterface({ input: stderr }).on("line", (line) => onFailure(line.slice(0, 500)));
    const timer = setTimeout(() => listening.reject(new Error(`${name} does not listen`)), startTimeoutMs);
    void child.exited.then(({ code, signal }) => {
      this.front.target = undefined;
      listening.reject(new Error(`${name} ended before it listened`));
      if (!this.#ending) onFailure(`ended on its own with ${code ?? signal}`);
    });
    this.front.target = { host: "127.0.0.1", port: await listening.promise };
    clearTimeout(timer);
  }

  /** Dies without a word, and comes back. */
  async crash(awayMs: number): Promise<void> {
    await this.#end("SIGKILL");
    await pause(awayMs);
    await this.start();
  }

  /** Is asked to go, and comes back. */
  async drain(awayMs: number): Promise<void> {
    const ended = await this.#end("SIGTERM", drainMs + drainPatienceMs);
    if (!ended?.inTime) this.#options.onFailure("did not end in time when it was drained");
    else if (ended.code !== 0) this.#options.onFailure(`ended with ${ended.code} when it was drained`);
    await pause(awayMs);
    await this.start();
  }

  /** Stands still for a while. */
  async freeze(forMs: number): Promise<void> {
    this.#child?.signal("SIGSTOP");
    await pause(forMs);
    this.#child?.signal("SIGCONT");
  }

  /** Ends it for good. */
  async close(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async #end(signal: NodeJS.Signals, patienceMs?: number) {
    this.#ending = true;
    // One that drains finishes what it has; whoever comes new is refused by itself.
    if (signal === "SIGKILL") this.front.target = undefined;
    return this.#child?.end(signal, patienceMs);
  }
}
