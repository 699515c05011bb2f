import slotOf from "cluster-key-slot";
import type { Log } from "../log.ts";
import type { RedisHost } from "../redis-url.ts";
import type { RedisClient } from "./redis-client.ts";
import type { RedisNode, RedisNodeHandler } from "./redis-node.ts";
import type { RedisNodes } from "./redis-nodes.ts";

/** Settings of {@link RedisCluster}. */
export interface RedisClusterOptions {
  /** Nodes to learn the others from. */
  readonly seeds: readonly RedisHost[];
  /** What a reply channel begins with; the cluster appends what brings it to the node that it is for. */
  readonly replyChannel: string;
  readonly connect: (name: string, host: RedisHost) => RedisClient;
  readonly createNode: (host: RedisHost, replyChannel: string) => RedisNode;
  readonly log: Log;
}

/** Number of hash slots. @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
const slotCount = 16384;

/** Pause between two looks at which node serves what, in ms. */
const refreshIntervalMs = 1000;

/** A range of slots and the master that serves it. */
interface SlotRange extends RedisHost {
  readonly from: number;
  readonly to: number;
}

/** What a node knows of the cluster. */
interface View {
  readonly epoch: number;
  readonly ranges: readonly SlotRange[];
}

/** @see https://redis.io/docs/latest/commands/cluster-slots/ */
type SlotReply = [from: number, to: number, master: [host: string | null, port: number]];

/**
 * The masters of a Redis cluster. Which of them serves what is read from the cluster every second and whenever a node says
 * that something has moved; a master that serves nothing any more is let go.
 */
export class RedisCluster implements RedisNodes {
  readonly #options: RedisClusterOptions;
  readonly #nodes = new Map<string, RedisNode>();
  /** By slot. */
  #owners: (RedisNode | undefined)[] = [];
  /** The view that the owners are made from, as text. */
  #adopted = "";
  /** The cluster's epoch in that view: another view of the same or a later one is newer. */
  #epoch = 0;
  /** True after a warning, until somebody has answered. */
  #hasWarned = false;
  #handler: RedisNodeHandler | undefined;
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> | undefined;
  #turn = 0;
  #closed = false;

  constructor(options: RedisClusterOptions) {
    this.#options = options;
  }

  get all(): readonly RedisNode[] {
    return [...this.#nodes.values()];
  }

  start(handler: RedisNodeHandler): void {
    this.#handler = handler;
    void this.refresh();
    this.#timer = setInterval(() => void this.refresh(), refreshIntervalMs);
  }

  nodeOf(key: string): RedisNode | undefined {
    return this.#owners[slotOf(key)];
  }

  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const node of this.#nodes.values()) node.close();
  }

  /** Takes over the first view that a node gives. */
  async #refresh(): Promise<void> {
    const ready = this.all.filter((node) => node.ready);
    // Another one each time, so that one that hangs does not keep the others from being asked.
    this.#turn++;
    for (let i = 0; i < ready.length && !this.#closed; i++) {
      const node = ready[(this.#turn + i) % ready.length];
      const view = node && (await this.#viewOf(node.commands));
      if (view) return this.#adopt(view);
    }
    for (const seed of this.#closed ? [] : this.#options.seeds) {
      const view = await this.#viewFrom(seed);
      if (view) return this.#adopt(view);
    }
  }

  /** What a node says that there is no connection to. */
  async #viewFrom(seed: RedisHost): Promise<View | undefined> {
    const client = this.#options.connect("belfry-cluster", seed);
    let reason: unknown;
    client.on("error", (error) => {
      reason ??= error;
    });
    try {
      await client.connect();
      return await this.#viewOf(client);
    } catch (error) {
      reason ??= error;
      return undefined;
    } finally {
      client.disconnect();
      if (reason && !this.#hasWarned) {
        this.#hasWarned = true;
        this.#options.log.warn(
          { err: reason, node: nameOf(seed) },
          "the Redis cluster cannot be reached; trying again",
        );
      }
    }
  }

  /** What a node says; undefined when it does not answer, or sees itself cut off from the majority. */
  async #viewOf(client: RedisClient): Promise<View | undefined> {
    try {
      const [info, slots] = await Promise.all([client.cluster("INFO"), client.cluster("SLOTS")]);
      if (!String(info).includes("cluster_state:ok")) return undefined;
      const epoch = Number(/cluster_current_epoch:(\d+)/.exec(String(info))?.[1] ?? 0);
      const { remoteAddress = "" } = client.stream as { remoteAddress?: string };
      const ranges = (slots as unknown as SlotReply[])
        // A node that does not know its own name leaves it to us, who have reached it.
        .map(([from, to, [host, port]]) => ({ from, to, host: host && host !== "?" ? host : remoteAddress, port }))
        .toSorted((a, b) => a.from - b.from);
      return { epoch, ranges };
    } catch (error) {
      this.#options.log.debug({ err: error }, "a node of the Redis cluster could not be asked");
      return undefined;
    }
  }

  /** Takes a view over, unless it is what is known already, or older. */
  #adopt({ epoch, ranges: view }: View): void {
    this.#hasWarned = false;
    const adopted = JSON.stringify(view);
    if (this.#closed || adopted === this.#adopted || epoch < this.#epoch) return;
    this.#adopted = adopted;
    this.#epoch = epoch;
    const names: (string | undefined)[] = Array.from({ length: slotCount });
    const hosts = new Map<string, RedisHost>();
    for (const { from, to, host, port } of view) {
      const name = nameOf({ host, port });
      hosts.set(name, { host, port });
      names.fill(name, from, to + 1);
    }
    const started: RedisNode[] = [];
    for (const [name, node] of this.#nodes) {
      if (names[slotOf(node.replyChannel)] === name) continue;
      node.close();
      this.#nodes.delete(name);
    }
    for (const [name, host] of hosts) {
      if (this.#nodes.has(name)) continue;
      const node = this.#options.createNode(host, this.#replyChannelAt(name, names));
      this.#nodes.set(name, node);
      started.push(node);
    }
    this.#owners = names.map((name) => (name === undefined ? undefined : this.#nodes.get(name)));
    this.#options.log.info({ nodes: [...hosts.keys()] }, "the Redis cluster has changed");
    if (this.#handler) for (const node of started) node.start(this.#handler);
    this.#handler?.onChange();
  }

  /** A channel that is served by a node. */
  #replyChannelAt(name: string, names: readonly (string | undefined)[]): string {
    for (let n = 0; ; n++) {
      const channel = `${this.#options.replyChannel}:{${n}}`;
      if (names[slotOf(channel)] === name) return channel;
    }
  }
}

function nameOf({ host, port }: RedisHost): string {
  return `${host}:${port}`;
}
