import { type Position, parseId } from "./positions.ts";

/** What a client has of a stream: everything up to a position, or nothing and wants all that is kept. */
export type Since = Position | "earliest";

/** Says what a client has of the stream that is in an epoch; undefined: nothing, and it begins live. */
export type SinceIn = (epoch: string) => Since | undefined;

/** Looks among positions that do not say which streams they are in: no two streams have the same epoch. */
export function sinceAmong(positions: readonly Position[]): SinceIn {
  return (epoch) => positions.find((position) => position.epoch === epoch);
}

/** What a client asks to resume; a stream that is not named begins live. */
export interface Resumption {
  readonly broadcast?: Since;
  readonly user?: Since;
  /** Positions in topics that its user is subscribed to; see {@link sinceAmong}. */
  readonly topics?: readonly Position[];
}

/** Most ids: the broadcast stream's, the user's, and those of the topics of a connection and of its user. */
const maxSince = 600;

/**
 * Reads the `since` parameters of `/ws?since=ID&since=ID` or `/ws?since=earliest`. An id names its stream by its scope, so
 * the broadcast stream and the user's can be named once; `earliest` means both.
 *
 * @param query the part of the URL behind the question mark
 * @returns what to resume, or a sentence that says what is wrong
 */
export function parseSince(query: string): Resumption | string {
  const values = new URLSearchParams(query).getAll("since");
  if (values.length === 0) return {};
  if (values.length > maxSince) return `since stands there more than ${maxSince} times`;
  if (values.includes("earliest")) {
    return values.length === 1
      ? { broadcast: "earliest", user: "earliest" }
      : "since=earliest goes with no other since";
  }
  const resumption: { broadcast?: Since; user?: Since; topics?: Position[] } = {};
  for (const value of values) {
    const id = parseId(value);
    if (!id) return "since is neither the id of a stored message nor earliest";
    const { scope, epoch, offset } = id;
    if (scope === "topic") {
      resumption.topics ??= [];
      resumption.topics.push({ epoch, offset });
      continue;
    }
    if (resumption[scope]) return `since names the ${scope} stream twice`;
    resumption[scope] = { epoch, offset };
  }
  return resumption;
}

/**
 * Reads the `since` of a `subscribe` frame: the id of a message of the topic, or `earliest`.
 *
 * @returns undefined when it is neither
 */
export function parseTopicSince(value: string): Since | undefined {
  if (value === "earliest") return value;
  const id = parseId(value);
  return id?.scope === "topic" ? { epoch: id.epoch, offset: id.offset } : undefined;
}
