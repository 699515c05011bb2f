import { BelfryError } from "../errors.ts";
import { decodeFlag, isName, maxNameLength } from "../protocol/user-ids.ts";

/** Who a client is. */
export interface Identity {
  /** null: anonymous. */
  readonly user: string | null;
}

/** Finds out who a client is from what it sent along with its handshake. */
export interface Authenticator {
  /**
   * @param credential the flag or the bearer token; undefined: there was none
   * @throws BelfryError `unauthorized` without a credential, `malformed` when it cannot be one
   */
  authenticate(credential: string | undefined): Identity;
}

/** `AUTH_MODE=none`: the flag is the user id, and nobody checks it. */
export class FlagAuthenticator implements Authenticator {
  readonly #allowAnonymous: boolean;

  constructor(allowAnonymous: boolean) {
    this.#allowAnonymous = allowAnonymous;
  }

  authenticate(credential: string | undefined): Identity {
    if (credential === undefined) {
      if (this.#allowAnonymous) return { user: null };
      throw new BelfryError("unauthorized", "say who you are: offer the user id in Sec-WebSocket-Protocol");
    }
    const user = decodeFlag(credential);
    if (!isName(user)) throw new BelfryError("malformed", `the user id is not 1 to ${maxNameLength} characters`);
    return { user };
  }
}
