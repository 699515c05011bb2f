import { tokenPattern } from "./user-ids.ts";

/** The subprotocol that Belfry itself speaks; offered beside the flag it keeps the flag out of the response. */
const belfrySubprotocol = "belfry.v1";

/** What a handshake offered. */
export interface Offer {
  /** The credential: the one offered subprotocol that is not `belfry.v1`. */
  readonly flag: string | undefined;
  /** What the server answers in `Sec-WebSocket-Protocol`; undefined: no such header. */
  readonly selected: string | undefined;
}

/**
 * Reads a `Sec-WebSocket-Protocol` header (RFC 6455 section 4.1, item 10): a comma-separated list of unique tokens, of
 * which one may be `belfry.v1` and one the flag.
 *
 * @returns the offer, or a sentence that says what is wrong with the header
 */
export function parseOffer(header: string | undefined): Offer | string {
  if (header === undefined) return { flag: undefined, selected: undefined };
  const offered = header.split(",").map((token) => token.replace(/^[ \t]+|[ \t]+$/g, ""));
  if (offered.some((token) => !tokenPattern.test(token))) {
    return "Sec-WebSocket-Protocol holds something that is not a token; offer such a user id as u. and its base64url";
  }
  const flags = offered.filter((token) => token !== belfrySubprotocol);
  if (flags.length > 1) return "Sec-WebSocket-Protocol offers more than one subprotocol besides belfry.v1";
  if (offered.length - flags.length > 1) return "Sec-WebSocket-Protocol offers belfry.v1 twice";
  const flag = flags[0];
  return { flag, selected: flags.length < offered.length ? belfrySubprotocol : flag };
}
