import { createHash, timingSafeEqual } from "node:crypto";
import type { ApiKeyConfig, Right } from "../config-values.ts";
import { BelfryError } from "../errors.ts";
import { bearerToken } from "./bearer.ts";

/** A key that was presented and is valid. */
export interface ApiKey {
  /** What logs and limits call it; keys of the same name share a limit. */
  readonly name: string;
}

/** Stands for the key of whoever calls an API that is open to everyone. */
const open: ApiKey = { name: "open" };

interface KnownKey {
  readonly digest: Buffer;
  readonly rights: readonly Right[];
  readonly key: ApiKey;
}

/** Who may use the publisher API. */
export class ApiKeys {
  #keys: readonly KnownKey[] | undefined;

  /** @param keys undefined: the API is open to everyone */
  constructor(keys: readonly ApiKeyConfig[] | undefined) {
    if (keys) this.replace(keys);
  }

  /** From here on these keys are valid, and no others. */
  replace(keys: readonly ApiKeyConfig[]): void {
    this.#keys = keys.map(({ name, secret, rights }) => ({ digest: digest(secret), rights, key: { name } }));
  }

  /**
   * Finds the key of a request.
   *
   * @throws BelfryError `unauthorized` when no valid key was presented, `forbidden` when it lacks the right
   */
  authorize(authorization: string | undefined, right: Right): ApiKey {
    if (!this.#keys) return open;
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
