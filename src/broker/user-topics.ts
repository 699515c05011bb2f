import { BelfryError } from "../errors.ts";

/** Most users that are subscribed to topics, in memory. */
const maxUsers = 100_000;

/** The topics that users are subscribed to, in memory. */
export class UserTopics {
  readonly #topics = new Map<string, Set<string>>();

  /** @throws BelfryError `invalid` when the user has `max` topics, `unavailable` when too many users have some */
  add(user: string, topic: string, max: number): void {
    const topics = this.#topics.get(user) ?? new Set();
    if (topics.size >= max && !topics.has(topic)) throw tooManyTopics(max);
    if (topics.size === 0 && this.#topics.size >= maxUsers) {
      throw new BelfryError("unavailable", `${maxUsers} users are subscribed to topics already`, {
        retryAfterSeconds: 60,
      });
    }
    this.#topics.set(user, topics.add(topic));
  }

  remove(user: string, topic: string): void {
    const topics = this.#topics.get(user);
    topics?.delete(topic);
    if (topics?.size === 0) this.#topics.delete(user);
  }

  of(user: string): string[] {
    return [...(this.#topics.get(user) ?? [])];
  }
}

/** The user is subscribed to as many topics as one may be. */
export function tooManyTopics(max: number): BelfryError {
  return new BelfryError("invalid", `a user may be subscribed to ${max} topics, and this one is`);
}
