import { type Position, parseId } from "./positions.ts";

/** What a client has of a stream: everything up to a position, or nothing and wants all that is kept. */
export type Since = Position | "earliest";

/** What a client asks to resume; a stream that is not named begins live. */
export interface Resumption {
  readonly broadcast?: Since;
  readonly user?: Since;
}

/**
 * Reads the `since` parameters of `/ws?since=ID&since=ID` or `/ws?since=earliest`. An id names its stream by its scope, so
 * each stream can be named once; `earliest` means both.
 *
 * @param query the part of the URL behind the question mark
 * @returns what to resume, or a sentence that says what is wrong
 */
export function parseSince(query: string): Resumption | string {
  const values = new URLSearchParams(query).getAll("since");
  if (values.length === 0) return {};
  if (values.length > 2) return "since stands there more than twice; it names the broadcast stream and the user's";
  if (values.includes("earliest")) {
    return values.length === 1
      ? { broadcast: "earliest", user: "earliest" }
      : "since=earliest goes with no other since";
  }
  const resumption: { broadcast?: Since; user?: Since } = {};
  for (const value of values) {
    const id = parseId(value);
    if (!id) return "since is neither the id of a stored message nor earliest";
    if (id.scope === "topic") return "since names a topic; topics are resumed when they are subscribed to";
    if (resumption[id.scope]) return `since names the ${id.scope} stream twice`;
    resumption[id.scope] = { epoch: id.epoch, offset: id.offset };
  }
  return resumption;
}
