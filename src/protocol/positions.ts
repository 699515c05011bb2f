import { type Scope, scopeLetter } from "./streams.ts";

/** A place in a stream: everything up to and including `offset` lies before it. */
export interface Position {
  /** Names one life of the stream's history: 1 to 32 characters of `0-9a-z`. Changes only when the history is lost. */
  readonly epoch: string;
  /** Number of the last message before this place; 0 in a stream that is still empty. */
  readonly offset: number;
}

/** A position together with the scope of its stream: what a message id says. */
export interface ScopedPosition extends Position {
  readonly scope: Scope;
}

const scopes: Record<string, Scope> = { b: "broadcast", u: "user", t: "topic" };
const idPattern = /^([but])-([0-9a-z]{1,32})-(0|[1-9][0-9]{0,15})$/;

/** Writes a position as the message id that clients see: `SCOPE-EPOCH-OFFSET`. */
export function formatId(scope: Scope, position: Position): string {
  return `${scopeLetter(scope)}-${position.epoch}-${position.offset}`;
}

/** Writes the id of a live-only message, which has no position and cannot be resumed from. */
export function formatLiveId(source: string, sequence: number): string {
  return `l-${source}-${sequence}`;
}

/** Reads a message id; undefined when the text is none, or is the id of a live-only message. */
export function parseId(id: string): ScopedPosition | undefined {
  const match = idPattern.exec(id);
  if (!match) return undefined;
  const [, letter = "", epoch = "", offset = ""] = match;
  const scope = scopes[letter];
  const number = Number(offset);
  if (!scope || !Number.isSafeInteger(number)) return undefined;
  return { scope, epoch, offset: number };
}

/** A new epoch: 12 random characters of `0-9a-f` (48 bits). */
export function newEpoch(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, 12);
}
