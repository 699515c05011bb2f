import { constants, deflateRawSync } from "node:zlib";

/** Payloads that compression is worth its while for, in bytes: smaller ones gain nothing, larger ones would hold up all else. */
const minBytes = 256;
const maxBytes = 256 * 1024;

/**
 * How many bits of an LZ77 window all clients can be served with. A frame that is shared cannot be made to a client's
 * measure, so an offer that asks for less is declined.
 */
const windowBits = 15;

/**
 * Chooses from what a client offers in `Sec-WebSocket-Extensions` the first offer of `permessage-deflate` that messages
 * can be compressed for once and for all clients; undefined when there is none, and compression is declined.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7692#section-7.1
 */
export function chooseOffer(header: string | undefined): string | undefined {
  return header?.split(",").find(isServable)?.trim();
}

function isServable(offer: string): boolean {
  const [name, ...parameters] = offer.split(";").map((part) => part.trim());
  if (name !== "permessage-deflate") return false;
  const seen = parameters.map((parameter) => parameter.split("=", 1)[0]);
  return new Set(seen).size === seen.length && parameters.every(isKnown);
}

function isKnown(parameter: string): boolean {
  if (/^(?:server|client)_no_context_takeover$/.test(parameter)) return true;
  const [, side, given] = /^(server|client)_max_window_bits(?:=(8|9|1[0-5]|"(?:8|9|1[0-5])"))?$/.exec(parameter) ?? [];
  return side === "client" || (side === "server" && Number(given?.replaceAll('"', "")) === windowBits);
}

/**
 * Compresses a message's payload without context takeover; undefined when it stays as it is, because it is too small, too
 * large or does not become smaller.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
 */
export function compress(payload: Buffer): Buffer | undefined {
  if (payload.length < minBytes || payload.length > maxBytes) return undefined;
  const deflated = deflateRawSync(payload, { windowBits, finishFlush: constants.Z_SYNC_FLUSH });
  // Every sync flush ends with an empty block, 00 00 FF FF, which the receiver adds by itself.
  const compressed = deflated.subarray(0, -4);
  return compressed.length < payload.length ? compressed : undefined;
}
