import { createHash, timingSafeEqual } from "node:crypto";
import type { ApiKeyConfig, Right } from "../config-values.ts";
import { BelfryError } from "../errors.ts";
import { TokenBucket } from "../token-bucket.ts";
import { bearerToken } from "./bearer.ts";

/** A key that was presented and is valid. */
export interface ApiKey {
  readonly name: string;
  /**
   * Counts messages against the key's limit.
   *
   * @throws BelfryError `too_many`
   */
  countPublishes(messages: number): void;
}

interface KnownKey {
  readonly digest: Buffer;
  readonly rights: readonly Right[];
  readonly key: ApiKey;
}

/** Who may use the publisher API. */
export class ApiKeys {
  readonly #maxPublishesPerSecond: number | undefined;
  readonly #open: ApiKey;
  #keys: readonly KnownKey[] | undefined;

  /**
   * @param keys undefined: the API is open to everyone
   * @param maxPublishesPerSecond messages a second for each key; undefined: no limit
   */
  constructor(keys: readonly ApiKeyConfig[] | undefined, maxPublishesPerSecond: number | undefined) {
    this.#maxPublishesPerSecond = maxPublishesPerSecond;
    this.#open = limited("open", maxPublishesPerSecond);
    if (keys) this.replace(keys);
  }

  /** From here on these keys are valid, and no others. */
  replace(keys: readonly ApiKeyConfig[]): void {
    this.#keys = keys.map(({ name, secret, rights }) => ({
      digest: digest(secret),
      rights,
      key: limited(name, this.#maxPublishesPerSecond),
    }));
  }

  /**
   * Finds the key of a request.
   *
   * @throws BelfryError `unauthorized` when no valid key was presented, `forbidden` when it lacks the right
   */
  authorize(authorization: string | undefined, right: Right): ApiKey {
    if (!this.#keys) return this.#open;
    const secret = bearerToken(authorization);
    if (secret === undefined) throw new BelfryError("unauthorized", "send an API key: Authorization: Bearer KEY");
    // Equal lengths and no early exit: the time says nothing about how much of a key was right.
    const given = digest(secret);
    let found: KnownKey | undefined;
    for (const known of this.#keys) if (timingSafeEqual(known.digest, given)) found = known;
    if (!found) throw new BelfryError("unauthorized", "the API key is not valid");
    if (!found.rights.includes(right)) {
      throw new BelfryError("forbidden", `the API key ${found.key.name} does not have the right "${right}"`);
    }
    return found.key;
  }
}

function digest(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

function limited(name: string, perSecond: number | undefined): ApiKey {
  const bucket = perSecond === undefined ? undefined : new TokenBucket(perSecond, performance.now());
  return {
    name,
    countPublishes(messages) {
      const waitMs = bucket?.take(performance.now(), messages) ?? 0;
      if (waitMs === 0) return;
      const retryAfterSeconds = Math.ceil(waitMs / 1000);
      throw new BelfryError("too_many", `more than ${perSecond} messages a second`, { retryAfterSeconds });
    },
  };
}
