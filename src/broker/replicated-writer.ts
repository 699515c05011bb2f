import { type RedisClient, redisUnavailable } from "./redis-client.ts";

/** Longest wait for the replicas of Redis, in ms. Three in a row must fit into the 3 s in which a publish is answered. */
const waitTimeoutMs = 700;

/**
 * Writes to a Redis server and waits until its replicas have the write. One WAIT is under way at a time; whatever is
 * written meanwhile shares the next. It has a connection of its own, since WAIT keeps everything behind it waiting.
 *
 * @see https://redis.io/docs/latest/commands/wait/
 */
export class ReplicatedWriter {
  readonly client: RedisClient;
  readonly #replicas: number;
  /** Counts the connections: WAIT speaks of what was written by its own, and the next may lead to another server. */
  #connection = 0;
  /** The WAIT that is not sent yet. */
  #next: Promise<number> | undefined;
  /** The WAIT that was asked for last. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: RedisClient, replicas: number) {
    this.client = client;
    this.#replicas = replicas;
    client.on("close", () => this.#connection++);
  }

  /**
   * Writes, and resolves when enough replicas have it. What is sent to `client` in the same turn goes to the same server.
   *
   * @param isNothing true for a result that says that nothing was written, so nothing needs to be waited for
   * @throws BelfryError `unavailable` when they do not have it in time; it is written all the same
   */
  async write<T>(work: (client: RedisClient) => Promise<T>, isNothing: (result: T) => boolean): Promise<T> {
    const connection = this.#connection;
    const result = await work(this.client);
    if (isNothing(result)) return result;
    const replicas = await this.#wait();
    if (connection !== this.#connection || replicas < this.#replicas) {
      throw redisUnavailable(`Redis did not confirm that ${this.#replicas} of its replicas have what was written`);
    }
    return result;
  }

  #wait(): Promise<number> {
    this.#next ??= this.#last.then(() => {
      this.#next = undefined;
      return this.client.wait(this.#replicas, waitTimeoutMs);
    });
    this.#last = this.#next.catch(() => {});
    return this.#next;
  }
}
