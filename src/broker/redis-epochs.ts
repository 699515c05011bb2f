import type { Stream } from "../protocol/streams.ts";
import type { RedisNodes } from "./redis-nodes.ts";

/**
 * Which stream an epoch belongs to: ids of messages name the epoch and not the user or topic. It is no part of the scripts,
 * since a cluster keeps it elsewhere than the stream; where it could not be written, the next who subscribes does.
 */
export class RedisEpochs {
  readonly #prefix: string;
  readonly #ttlMs: number;
  readonly #nodes: RedisNodes;

  /**
   * @param prefix what every key begins with
   * @param ttlMs how long an epoch is known after it was last kept, in ms
   */
  constructor(prefix: string, ttlMs: number, nodes: RedisNodes) {
    this.#prefix = prefix;
    this.#ttlMs = ttlMs;
    this.#nodes = nodes;
  }

  keyOf(epoch: string): string {
    return `${this.#prefix}:epoch:${epoch}`;
  }

  /** Keeps which stream has an epoch, or keeps it longer; never rejects. */
  async keep({ scope, key }: Stream, epoch: string): Promise<void> {
    // Ids say of broadcasts that they are.
    if (scope === "broadcast") return;
    const epochKey = this.keyOf(epoch);
    await this.#nodes
      .nodeOf(epochKey)
      ?.commands.set(epochKey, key, "PX", this.#ttlMs)
      .catch(() => {});
  }
}
