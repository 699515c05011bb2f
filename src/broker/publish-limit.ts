import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { RedisClient } from "./redis-client.ts";

/** The window that messages are counted in, in seconds. */
const duration = 1;

/**
 * Counts a publisher's messages in windows of a second, each of which begins with the first message that comes after the last.
 * What is more than a window may have at once is let through when nothing else was counted in it, and closes the windows that
 * it takes.
 */
export class PublishLimit {
  readonly #limiter: RateLimiterAbstract;

  private constructor(limiter: RateLimiterAbstract) {
    this.#limiter = limiter;
  }

  /** A limit that holds for this process. */
  static inMemory(perSecond: number): PublishLimit {
    return new PublishLimit(new RateLimiterMemory({ points: perSecond, duration }));
  }

  /**
   * A limit that holds for all who count in the same Redis.
   *
   * @param storeClient of the server that serves the keys that are counted under
   */
  static inRedis(perSecond: number, storeClient: RedisClient): PublishLimit {
    return new PublishLimit(new RateLimiterRedis({ points: perSecond, duration, storeClient, keyPrefix: "" }));
  }

  /**
   * Counts messages if the limit allows them.
   *
   * @param key whose messages they are
   * @returns 0 when they are counted, else the ms after which trying again makes sense
   * @throws Error of ioredis
   */
  async count(key: string, messages: number): Promise<number> {
    const { points } = this.#limiter;
    if (messages === 0) return 0;
    try {
      await this.#limiter.consume(key, Math.min(messages, points));
      if (messages > points) await this.#limiter.block(key, Math.ceil(messages / points) * duration);
      return 0;
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) return Math.max(1, refusal.msBeforeNext);
      throw refusal;
    }
  }
}
