import { BelfryError } from "../errors.ts";
import { ReplyError, redisUnavailable } from "./redis-client.ts";
import type { RedisNode } from "./redis-node.ts";
import type { RedisNodes } from "./redis-nodes.ts";

/** Operations under way at once; more are refused, so that a hanging Redis does not fill the memory. */
const maxPending = 10_000;

/** Longest time of an operation, whatever it consists of, in ms: a publish must be answered within 3 s. */
const operationTimeoutMs = 2800;

/** The operations of this replica on Redis: where each is done, how many at once, and how long it may take. */
export class RedisOperations {
  readonly #nodes: RedisNodes;
  readonly #onOperation: ((operation: string, seconds: number) => void) | undefined;
  #pending = 0;

  /** @param onOperation told the duration of each, however it ended */
  constructor(nodes: RedisNodes, onOperation: ((operation: string, seconds: number) => void) | undefined) {
    this.#nodes = nodes;
    this.#onOperation = onOperation;
  }

  /**
   * Runs an operation on the node that serves a key.
   *
   * @param operation what it is called in metrics
   * @throws BelfryError `unavailable` when it could not be done, in time, or too many are under way; what `work` throws of its own
   */
  async run<T>(operation: string, key: string, work: (node: RedisNode) => Promise<T>): Promise<T> {
    if (this.#pending >= maxPending) throw redisUnavailable("too many operations wait for Redis");
    this.#pending++;
    const start = performance.now();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(redisUnavailable("Redis did not answer in time")), operationTimeoutMs);
    try {
      return await Promise.race([this.#at(key, work), late]);
    } catch (error) {
      // Our own mistakes are no failure of Redis.
      if (error instanceof BelfryError || error instanceof TypeError || error instanceof ReferenceError) throw error;
      throw redisUnavailable(this.#nodes.nodeOf(key)?.ready ? reasonOf(error) : "Redis cannot be reached", error);
    } finally {
      clearTimeout(timer);
      this.#pending--;
      this.#onOperation?.(operation, (performance.now() - start) / 1000);
    }
  }

  /** A node that says that the key has moved has not done the work, so another may. */
  async #at<T>(key: string, work: (node: RedisNode) => Promise<T>): Promise<T> {
    const node = this.#nodes.nodeOf(key);
    if (!node) throw redisUnavailable("Redis cannot be reached");
    try {
      return await work(node);
    } catch (error) {
      if (!(error instanceof ReplyError) || !(error as Error).message.startsWith("MOVED ")) throw error;
      await this.#nodes.refresh();
      const other = this.#nodes.nodeOf(key);
      if (!other || other === node) throw error;
      return work(other);
    }
  }
}

/** What an operation failed of, by the code that Redis puts first (OOM, READONLY, …); the rest may quote the command. */
function reasonOf(error: unknown): string {
  const code = error instanceof ReplyError ? /^[A-Z]+/.exec((error as Error).message)?.[0] : undefined;
  return code ? `Redis refused the operation (${code})` : "Redis did not answer";
}
