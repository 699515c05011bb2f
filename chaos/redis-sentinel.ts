import { durable, quoted, type RedisProcess, startOrClose } from "./redis-process.ts";
import { isMasterOf, isReplicaOf, makeDirectory, ReplicatedRedis, secretLines, userInfo } from "./redis-replicated.ts";

/** How {@link SentinelRedis} is built. */
export interface SentinelOptions {
  /** Replicas of the master, 1 or more; default 2. */
  readonly replicas?: number;
  /** Default 3. More than half of them decide. */
  readonly sentinels?: number;
  /** Of the servers; default none. */
  readonly password?: string;
  /** Of the sentinels; default none. */
  readonly sentinelPassword?: string;
}

/** The name under which the sentinels know the master. */
const masterName = "belfry";

/** How long a server is silent until a sentinel takes it to be down, and what a failover may take, in ms. */
const downAfterMs = 1000;
const failoverTimeoutMs = 5000;

/**
 * Periods of the sentinels that are shorter than usual, in ms. A server that says that it is master, and is not, is left
 * alone for four times the first one, and it is looked at as often as the second one says.
 */
const periodsMs = ["publish-period", "500", "info-period", "1000"] as const;

/** A master with replicas, and sentinels that watch over it. */
export class SentinelRedis extends ReplicatedRedis {
  readonly #servers: RedisProcess[] = [];
  readonly #sentinels: RedisProcess[] = [];
  readonly #options: SentinelOptions;

  private constructor(directory: string, options: SentinelOptions) {
    super(directory);
    this.#options = options;
  }

  /** Starts it; resolves when all know each other. */
  static async start(options: SentinelOptions = {}): Promise<SentinelRedis> {
    const redis = new SentinelRedis(await makeDirectory(), options);
    return startOrClose(redis, () => redis.#start());
  }

  get url(): string {
    const { password, sentinelPassword } = this.#options;
    const query = sentinelPassword === undefined ? "" : `?sentinelPassword=${encodeURIComponent(sentinelPassword)}`;
    const hosts = this.#sentinels.map(({ port }) => `127.0.0.1:${port}`);
    return `redis+sentinel://${userInfo(password)}${hosts.join()}/${masterName}${query}`;
  }

  override async findMaster(): Promise<RedisProcess | undefined> {
    const answers = this.#sentinels.map((sentinel) => sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName));
    const ports = new Set((await Promise.all(answers)).map((address) => (address as string[])[1]));
    const master = this.#servers.find(({ port }) => ports.has(String(port)));
    if (ports.size > 1 || !master?.isRunning) return undefined;
    return (await master.info("replication"))["role"] === "master" ? master : undefined;
  }

  protected override async askForFailover(): Promise<void> {
    await this.#sentinels[0]?.call("SENTINEL", "FAILOVER", masterName);
  }

  protected override async isWhole(): Promise<boolean> {
    const master = await this.findMaster();
    if (!master || this.#servers.some(({ isRunning }) => !isRunning)) return false;
    const replicas = this.#servers.filter((server) => server !== master);
    const checks = await Promise.all([
      isMasterOf(master, replicas.length),
      ...replicas.map((replica) => isReplicaOf(replica, master)),
      ...this.#sentinels.map((sentinel) => this.#knowsAll(sentinel, master)),
    ]);
    return checks.every(Boolean);
  }

  /** True when a sentinel could put any of the replicas in the place of the master. */
  async #knowsAll(sentinel: RedisProcess, master: RedisProcess): Promise<boolean> {
    const known = toObject(await sentinel.call("SENTINEL", "MASTER", masterName));
    const replicas = ((await sentinel.call("SENTINEL", "REPLICAS", masterName)) as unknown[]).map(toObject);
    return (
      known["flags"] === "master" &&
      Number(known["num-other-sentinels"]) === this.#sentinels.length - 1 &&
      replicas.length === this.#servers.length - 1 &&
      replicas.every(
        (replica) =>
          replica["flags"] === "slave" &&
          replica["role-reported"] === "slave" &&
          replica["master-link-status"] === "ok" &&
          replica["master-port"] === String(master.port),
      )
    );
  }

  async #start(): Promise<void> {
    const { replicas = 2, sentinels = 3, password, sentinelPassword } = this.#options;
    const secrets = secretLines(password);
    // Without the delay a replica has everything at once, and the next fault can come.
    const lines = [...durable, ...secrets, "repl-diskless-sync-delay 0"];
    const master = await this.launch({ lines, password });
    this.#servers.push(master);
    const following = [...lines, `replicaof 127.0.0.1 ${master.port}`];
    for (let i = 0; i < replicas; i++) this.#servers.push(await this.launch({ lines: following, password }));
    const watching = [
      `sentinel monitor ${masterName} 127.0.0.1 ${master.port} ${Math.floor(sentinels / 2) + 1}`,
      `sentinel down-after-milliseconds ${masterName} ${downAfterMs}`,
      `sentinel failover-timeout ${masterName} ${failoverTimeoutMs}`,
      ...(password === undefined ? [] : [`sentinel auth-pass ${masterName} ${quoted(password)}`]),
      ...(sentinelPassword === undefined ? [] : [`requirepass ${quoted(sentinelPassword)}`]),
    ];
    for (let i = 0; i < sentinels; i++) {
      const sentinel = await this.launch({ lines: watching, password: sentinelPassword, isSentinel: true });
      this.#sentinels.push(sentinel);
      // Redis 6 does not know it, and takes its time.
      await sentinel.call("SENTINEL", "DEBUG", ...periodsMs).catch(() => {});
    }
    await this.whole();
  }
}

/** A flat list of names and values as Redis answers it. */
function toObject(list: unknown): Record<string, string> {
  const flat = list as string[];
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? ""]] : [])));
}
