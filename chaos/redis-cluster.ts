import { durable, type RedisProcess, startOrClose } from "./redis-process.ts";
import { isMasterOf, isReplicaOf, makeDirectory, ReplicatedRedis, secretLines, userInfo } from "./redis-replicated.ts";

/** How {@link ClusterRedis} is built. */
export interface ClusterOptions {
  /** Masters, each with its part of the slots; default 3, which is also the least that can decide on a failover. */
  readonly masters?: number;
  /** Replicas of each master; default 1. */
  readonly replicasPerMaster?: number;
  /** Of the nodes; default none. */
  readonly password?: string;
}

/** How long a node is silent until others take it to be down, in ms. */
const nodeTimeoutMs = 1500;

/** How long the nodes may take to know each other, in ms. */
const meetTimeoutMs = 20_000;

/** @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
const slotCount = 16_384;

/** Settings that all nodes have. */
const settings = [
  ...durable,
  "cluster-enabled yes",
  `cluster-node-timeout ${nodeTimeoutMs}`,
  // A replica stays in its shard, so that every shard keeps as many nodes as it was given.
  "cluster-migration-barrier 1000",
  // Without the delay a replica has everything at once, and the next fault can come.
  "repl-diskless-sync-delay 0",
];

/** A line of CLUSTER NODES. */
interface NodeLine {
  readonly port: number;
  readonly flags: readonly string[];
  readonly link: string;
  /** The first slot it serves; undefined when it serves none. */
  readonly firstSlot: number | undefined;
}

/** A cluster: masters that share the slots, and replicas of each. */
export class ClusterRedis extends ReplicatedRedis {
  /** By shard; which of its nodes is master changes. */
  readonly #shards: RedisProcess[][] = [];
  readonly #options: ClusterOptions;

  private constructor(directory: string, options: ClusterOptions) {
    super(directory);
    this.#options = options;
  }

  /** Starts it; resolves when all slots are served and every replica has its master. */
  static async start(options: ClusterOptions = {}): Promise<ClusterRedis> {
    const redis = new ClusterRedis(await makeDirectory(), options);
    return startOrClose(redis, () => redis.#start());
  }

  get url(): string {
    const { password } = this.#options;
    return `redis+cluster://${userInfo(password)}${this.#nodes.map(({ port }) => `127.0.0.1:${port}`).join()}`;
  }

  /** Number of shards. */
  get shardCount(): number {
    return this.#shards.length;
  }

  override async findMaster(shard = 0): Promise<RedisProcess | undefined> {
    const running = this.#nodes.filter(({ isRunning }) => isRunning);
    const firstSlot = this.#firstSlot(shard);
    const views = await Promise.all(running.map((node) => linesOf(node)));
    const owners = new Set(views.map((lines) => lines.find((line) => line.firstSlot === firstSlot)?.port));
    const owner = this.#shards[shard]?.find(({ port }) => owners.has(port));
    if (owners.size > 1 || !owner?.isRunning) return undefined;
    return (await owner.info("replication"))["role"] === "master" ? owner : undefined;
  }

  protected override async askForFailover(shard: number): Promise<void> {
    const master = await this.findMaster(shard);
    await this.#shards[shard]?.find((node) => node !== master)?.call("CLUSTER", "FAILOVER");
  }

  protected override async isWhole(): Promise<boolean> {
    if (this.#nodes.some(({ isRunning }) => !isRunning)) return false;
    const shards = this.#shards.map(async (nodes, shard) => {
      const master = await this.findMaster(shard);
      if (!master) return false;
      const checks = nodes.map((node) =>
        node === master ? isMasterOf(node, nodes.length - 1) : isReplicaOf(node, master),
      );
      return (await Promise.all(checks)).every(Boolean);
    });
    const checks = await Promise.all([...shards, ...this.#nodes.map((node) => this.#knowsAll(node))]);
    return checks.every(Boolean);
  }

  get #nodes(): RedisProcess[] {
    return this.#shards.flat();
  }

  #firstSlot(shard: number): number {
    return Math.ceil((shard * slotCount) / this.#shards.length);
  }

  /** True when a node serves, is connected with all others, and takes none of them to be down. */
  async #knowsAll(node: RedisProcess): Promise<boolean> {
    const [state, lines] = await Promise.all([node.call("CLUSTER", "INFO"), linesOf(node)]);
    const isWell = ({ flags, link }: NodeLine) =>
      link === "connected" && !flags.some((flag) => ["fail", "fail?", "handshake", "noaddr"].includes(flag));
    return String(state).includes("cluster_state:ok") && lines.length === this.#nodes.length && lines.every(isWell);
  }

  async #start(): Promise<void> {
    const { masters = 3, replicasPerMaster = 1, password } = this.#options;
    const secrets = secretLines(password);
    for (let i = 0; i < masters; i++) this.#shards.push([]);
    for (let i = 0; i < masters * (1 + replicasPerMaster); i++) {
      const node = await this.launch({ lines: [...settings, ...secrets], password });
      this.#shards[i % masters]?.push(node);
      // As redis-cli does it: otherwise the nodes would have to find out who is right about every slot.
      await node.call("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
    }
    await this.#meet();
    for (const [shard, [master, ...replicas]] of this.#shards.entries()) {
      const first = this.#firstSlot(shard);
      const slots = Array.from({ length: this.#firstSlot(shard + 1) - first }, (_, i) => String(first + i));
      await master?.call("CLUSTER", "ADDSLOTS", ...slots);
      const id = String(await master?.call("CLUSTER", "MYID"));
      for (const replica of replicas) await replica.call("CLUSTER", "REPLICATE", id);
    }
    await this.whole();
  }

  /** Introduces the nodes to each other. */
  async #meet(): Promise<void> {
    const [first, ...others] = this.#nodes;
    for (const node of others) await node.call("CLUSTER", "MEET", "127.0.0.1", String(first?.port));
    const isDone = async () => {
      const views = await Promise.all(this.#nodes.map((node) => linesOf(node)));
      const isKnown = ({ flags }: NodeLine) => !flags.includes("handshake");
      return views.every((lines) => lines.length === this.#nodes.length && lines.every(isKnown));
    };
    await this.until("all nodes of the cluster know each other", isDone, meetTimeoutMs);
  }
}

/** What a node knows of itself and of the others. @see https://redis.io/docs/latest/commands/cluster-nodes/ */
async function linesOf(node: RedisProcess): Promise<NodeLine[]> {
  const text = String(await node.call("CLUSTER", "NODES"));
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const [, address = "", flags = "", , , , , link = "", slots] = line.split(" ");
      const port = Number(/:(\d+)@/.exec(address)?.[1]);
      return {
        port,
        flags: flags.split(","),
        link,
        firstSlot: slots === undefined ? undefined : Number.parseInt(slots, 10),
      };
    });
}
