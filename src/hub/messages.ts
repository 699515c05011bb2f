import type { Idempotency, Publication } from "../broker/broker.ts";
import { BelfryError, type InvalidInput } from "../errors.ts";
import type { Stream } from "../protocol/streams.ts";
import { isName, nameExpected } from "../protocol/user-ids.ts";

/** What may be said about a message beside its data. */
export interface MessageOptions {
  /** Name of what happened, for the receiving code: 1 to 128 characters. Default: none. */
  readonly event?: string | undefined;
  /**
   * For how long the message matters, in seconds, fractions allowed. 0: live only, neither stored nor numbered.
   * Default: as long as history is kept.
   */
  readonly ttl?: number | undefined;
  /** Of the messages in one stream with the same key only the newest matters: 1 to 128 characters. Default: none. */
  readonly collapse?: string | undefined;
}

/** A message as a publisher hands it over. */
export interface MessageDraft extends MessageOptions {
  /** The data as JSON text. It reaches the clients exactly as it is here, so it must be valid JSON. */
  readonly json: string;
  /** Makes a repeated publish harmless. Default: none. */
  readonly idempotency?: Idempotency | undefined;
}

/** Most seconds that `ttl` may say: a year. */
export const maxTtlSeconds = 365 * 86400;

/**
 * Checks a draft and writes it as the broker takes it.
 *
 * @throws BelfryError `invalid` or `too_large`
 */
export function toPublication(stream: Stream, draft: MessageDraft, maxPayloadBytes: number, ts: number): Publication {
  const { json, event, ttl, collapse, idempotency } = draft;
  const errors: InvalidInput[] = [];
  if (event !== undefined && !isName(event)) errors.push({ path: "event", message: nameExpected });
  if (collapse !== undefined && !isName(collapse)) {
    errors.push({ path: "collapse", message: nameExpected });
  }
  if (ttl !== undefined && !(ttl >= 0 && ttl <= maxTtlSeconds)) {
    errors.push({ path: "ttl", message: `expected seconds from 0 to ${maxTtlSeconds}` });
  }
  if (stream.scope !== "broadcast" && !isName(stream.name)) {
    errors.push({ path: stream.scope, message: nameExpected });
  }
  if (errors.length > 0) throw new BelfryError("invalid", "the message is not valid", { errors });
  checkSize(json, maxPayloadBytes);
  const topic = stream.scope === "topic" ? `"topic":${JSON.stringify(stream.name)},` : "";
  const eventMember = event === undefined ? "" : `"event":${JSON.stringify(event)},`;
  return {
    body: `"scope":"${stream.scope}",${topic}${eventMember}"data":${json},"ts":${ts}}`,
    ts,
    live: ttl === 0,
    expiresAtMs: ttl === undefined || ttl === 0 ? 0 : Math.ceil(ts + ttl * 1000),
    collapse,
    idempotency,
  };
}

/**
 * Checks the size of data.
 *
 * @param json the data as JSON text
 * @throws BelfryError `too_large`
 */
export function checkSize(json: string, maxPayloadBytes: number): void {
  // Three bytes a character at most: only a text near the limit needs to be measured.
  if (json.length * 3 > maxPayloadBytes && Buffer.byteLength(json) > maxPayloadBytes) {
    throw new BelfryError("too_large", `data is larger than ${maxPayloadBytes} bytes`);
  }
}

/**
 * The JSON text of a value.
 *
 * @throws BelfryError `invalid` when JSON cannot say it: undefined, a function, a cycle, a BigInt
 */
export function toJson(data: unknown): string {
  let json: string | undefined;
  let cause: unknown;
  try {
    json = JSON.stringify(data);
  } catch (error) {
    cause = error;
  }
  if (json === undefined) {
    const errors = [{ path: "data", message: "expected a value that JSON can say" }];
    throw new BelfryError("invalid", "the message is not valid", { errors, cause });
  }
  return json;
}
