import { once } from "node:events";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Redis as Client } from "ioredis";
import { Child } from "./child.ts";
import { until } from "./until.ts";

/** How long Redis may take to come up and read its log, in ms. */
const startTimeoutMs = 20_000;

/** Longest wait for an answer to a command, in ms. */
const commandTimeoutMs = 10_000;

/** How often a process is started when its port was taken in the last moment. */
const maxStarts = 5;

/** How far the port of a cluster's bus is above that of its node. @see https://redis.io/docs/latest/operate/oss_and_stack/management/scaling/ */
const busOffset = 10_000;

/**
 * Ports that are tried, with the bus of a cluster too: below those that systems give to outgoing connections, one of
 * which could otherwise take the port of a server between two of its lives.
 */
const ports = [11_000, 22_000] as const;

/** Settings of a server that loses nothing it has answered: every write is on disk before the answer. */
export const durable: readonly string[] = ['save ""', "appendonly yes", "appendfsync always"];

/** What a process is started with. */
export interface RedisProcessOptions {
  /** A directory of its own, which is made. */
  readonly directory: string;
  /** Lines of its configuration file, beside its directory and where it listens. */
  readonly lines: readonly string[];
  /** What its clients need; default none. */
  readonly password?: string | undefined;
  /** True for a sentinel. Default: a server with data. */
  readonly isSentinel?: boolean;
  /** Told when it ends although nobody ended it. */
  readonly onFailure?: (error: Error) => void;
}

/** A `redis-server` that can die and come back with its data and its configuration, as it has written them. */
export class RedisProcess {
  /** Its port on 127.0.0.1; 0 for one that only has a Unix socket. */
  readonly port: number;
  readonly #options: RedisProcessOptions;
  readonly #client: Client;
  #child: Child | undefined;
  #isRunning = false;
  #isClosed = false;

  private constructor(options: RedisProcessOptions, port: number) {
    this.#options = options;
    this.port = port;
    this.#client = new Client({
      ...(port === 0 ? { path: this.path } : { host: "127.0.0.1", port }),
      ...(options.password !== undefined && { password: options.password }),
      maxRetriesPerRequest: null,
      commandTimeout: commandTimeoutMs,
      retryStrategy: () => 50,
    });
    this.#client.on("error", () => {});
  }

  /** Starts one on a free port of 127.0.0.1. */
  static async start(options: RedisProcessOptions): Promise<RedisProcess> {
    for (let starts = 1; ; starts++) {
      try {
        return await RedisProcess.#startOn(await freePort(), options);
      } catch (error) {
        const wasTaken = error instanceof Error && error.message.includes("Address already in use");
        if (!wasTaken || starts === maxStarts) throw error;
      }
    }
  }

  /** Starts one that is reached through a Unix socket alone: no port that somebody else could take between two lives. */
  static startOnSocket(options: RedisProcessOptions): Promise<RedisProcess> {
    return RedisProcess.#startOn(0, options);
  }

  static async #startOn(port: number, options: RedisProcessOptions): Promise<RedisProcess> {
    await mkdir(options.directory, { recursive: true });
    const redis = new RedisProcess(options, port);
    const where = port === 0 ? [`unixsocket ${quoted(redis.path)}`] : ["bind 127.0.0.1"];
    const lines = [`port ${port}`, ...where, `dir ${quoted(options.directory)}`, ...options.lines];
    await writeFile(redis.#configFile, `${lines.join("\n")}\n`);
    return startOrClose(redis, () => redis.comeBack());
  }

  /** Where its Unix socket is, if it has one. */
  get path(): string {
    return join(this.#options.directory, "redis.sock");
  }

  /** True while it answers: neither ended nor frozen. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Sends it a command. */
  call(command: string, ...args: string[]): Promise<unknown> {
    return this.#client.call(command, ...args);
  }

  /** A section of INFO. */
  async info(section: string): Promise<Readonly<Record<string, string>>> {
    const lines = (await this.#client.info(section)).split("\r\n").filter((line) => line.includes(":"));
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
    );
  }

  /** Ends it, and waits for that. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#isRunning = false;
    await this.#child?.end(signal);
  }

  /** Starts it again behind an end, with what is on disk; resolves when it answers. */
  async comeBack(): Promise<void> {
    const log = await open(this.#logFile, "a");
    const args = [this.#configFile, ...(this.#options.isSentinel ? ["--sentinel"] : [])];
    if (this.#isClosed) throw new Error("redis-server was closed");
    const child = new Child("redis-server", args, { stdio: ["ignore", log.fd, log.fd] });
    this.#child = child;
    let end: string | undefined;
    const ended = child.exited
      .then(({ code, signal }) => `ended with ${code ?? signal}`, String)
      .then((how) => {
        end = how;
        if (this.#isRunning) this.#options.onFailure?.(new Error(`redis-server ${how}`));
        return true;
      });
    await log.close();
    // Somebody else's Redis could answer on a port that was not free.
    const answers = async () => (await this.info("server"))["process_id"] === String(child.process.pid);
    await until("redis-server answers", () => Promise.race([answers(), ended]), startTimeoutMs);
    if (end !== undefined) throw new Error(`redis-server ${end}\n${await readFile(this.#logFile, "utf8")}`);
    this.#isRunning = true;
  }

  /** Stands still until {@link thaw}: connections stay, and nothing is answered. */
  freeze(): void {
    this.#isRunning = false;
    this.#child?.signal("SIGSTOP");
  }

  /** Goes on. */
  thaw(): void {
    this.#child?.signal("SIGCONT");
    this.#isRunning = true;
  }

  /** Ends it for good. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#client.disconnect();
    await this.end("SIGKILL");
  }

  get #configFile(): string {
    return join(this.#options.directory, "redis.conf");
  }

  get #logFile(): string {
    return join(this.#options.directory, "redis.log");
  }
}

/** Starts something, and closes it when that fails. */
export async function startOrClose<T extends { close(): Promise<void> }>(
  started: T,
  start: () => Promise<void>,
): Promise<T> {
  try {
    await start();
    return started;
  } catch (error) {
    await started.close();
    throw error;
  }
}

/** A value as a configuration file takes it. */
export function quoted(value: string): string {
  return JSON.stringify(value);
}

/** A port on which, and on whose bus, nobody listens. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = ports[0] + Math.floor(Math.random() * (ports[1] - ports[0]));
    if ((await isFree(port)) && (await isFree(port + busOffset))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
