import type { RedisOperations } from "./redis-operations.ts";
import type { Reminders } from "./reminders.ts";

/** The reminders of all replicas: one sorted set, in the order in which they are due. */
export class RedisReminders implements Reminders {
  readonly #key: string;
  readonly #keepMs: number;
  readonly #operations: RedisOperations;

  /** @param keepMs for how long they are kept at least when nobody takes them any more */
  constructor(key: string, keepMs: number, operations: RedisOperations) {
    this.#key = key;
    this.#keepMs = keepMs;
    this.#operations = operations;
  }

  async add(text: string, dueMs: number): Promise<boolean> {
    const livesMs = Math.ceil(Math.max(0, dueMs - Date.now()) + this.#keepMs);
    const kept = await this.#operations.run("remind", this.#key, ({ commands }) =>
      commands.belfryRemind(this.#key, text, dueMs, livesMs),
    );
    return kept === 1;
  }

  async take(nowMs: number, limit: number, leaseMs: number): Promise<string[]> {
    return this.#operations.run("take_due", this.#key, ({ commands }) =>
      commands.belfryTakeDue(this.#key, nowMs, limit, nowMs + leaseMs),
    );
  }

  async forget(texts: readonly string[]): Promise<void> {
    if (texts.length === 0) return;
    await this.#operations.run("forget", this.#key, ({ commands }) => commands.zrem(this.#key, ...texts));
  }
}
