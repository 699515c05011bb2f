import { type Idempotency, idempotencyConflict, type Published } from "./broker.ts";

/** Idempotency keys that are remembered; beyond it the oldest go early. */
const maxKeys = 100_000;

/** What was answered to the first publish under an idempotency key. */
interface First {
  readonly fingerprint: string;
  /** Undefined for a key that was only claimed. */
  readonly published: Published | undefined;
  readonly expiresAtMs: number;
}

/** The idempotency keys that this process remembers. */
export class IdempotencyKeys {
  readonly #ttlMs: number;
  /** By name, in the order in which they expire. */
  readonly #firsts = new Map<string, First>();

  constructor(ttlSeconds: number) {
    this.#ttlMs = 1000 * ttlSeconds;
  }

  /**
   * What is remembered under a name, if anything is.
   *
   * @throws BelfryError `invalid` when it was remembered for something else
   */
  find(name: string, { fingerprint }: Idempotency): First | undefined {
    const first = this.#firsts.get(name);
    if (!first || first.expiresAtMs <= Date.now()) return undefined;
    if (first.fingerprint !== fingerprint) throw idempotencyConflict();
    return first;
  }

  /** @param published undefined when the key was only claimed */
  remember(name: string, { fingerprint }: Idempotency, published: Published | undefined): void {
    const now = Date.now();
    this.#firsts.delete(name);
    this.#firsts.set(name, { fingerprint, published, expiresAtMs: now + this.#ttlMs });
    for (const [oldest, { expiresAtMs }] of this.#firsts) {
      if (expiresAtMs > now && this.#firsts.size <= maxKeys) return;
      this.#firsts.delete(oldest);
    }
  }
}
