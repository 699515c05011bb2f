import type { Credentials } from "../credentials.ts";
import { BelfryError } from "../errors.ts";
import { decodeFlag, isName, maxNameLength } from "../protocol/user-ids.ts";

/** Finds out who a client is from what it sent along with its handshake. */
export interface Authenticator {
  /**
   * @param presented the flag or the bearer token
   * @throws BelfryError `unauthorized` when the credentials are not valid; the message says why, and nothing of what they are.
   *   `malformed` when no credentials look like that, `unavailable` when they could not be checked
   */
  authenticate(presented: string): Promise<Credentials>;
}

/** `AUTH_MODE=none`: the flag is the user id, and nobody checks it. */
export class FlagAuthenticator implements Authenticator {
  async authenticate(presented: string): Promise<Credentials> {
    const user = decodeFlag(presented);
    if (!isName(user)) throw new BelfryError("malformed", `the user id is not 1 to ${maxNameLength} characters`);
    return { user };
  }
}
