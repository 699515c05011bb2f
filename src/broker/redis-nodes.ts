import type { RedisNode, RedisNodeHandler } from "./redis-node.ts";

/** The Redis servers that share the keys among them: one, or the masters of a cluster. */
export interface RedisNodes {
  /** Those known now. */
  readonly all: readonly RedisNode[];
  /** Begins to connect. `onChange` is also called when the nodes, or what they serve, have changed. */
  start(handler: RedisNodeHandler): void;
  /** The node that serves a key or a channel; undefined while that is not known. */
  nodeOf(key: string): RedisNode | undefined;
  /** Finds out anew which node serves what; never rejects. */
  refresh(): Promise<void>;
  close(): void;
}

/** Just one: a server, or the master that sentinels watch over. */
export class SingleRedis implements RedisNodes {
  readonly all: readonly [RedisNode];

  constructor(node: RedisNode) {
    this.all = [node];
  }

  start(handler: RedisNodeHandler): void {
    this.all[0].start(handler);
  }

  nodeOf(): RedisNode {
    return this.all[0];
  }

  async refresh(): Promise<void> {}

  close(): void {
    this.all[0].close();
  }
}
