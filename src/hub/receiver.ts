import type { Connection } from "./connection.ts";
import type { Seat } from "./member.ts";

/** A connection that listens to a stream, and how far it has handled it. */
export interface Receiver extends Seat {
  readonly connection: Connection;
  /** It is handed every message behind this offset. */
  readonly from: number;
  /** It may ack every message behind this offset: it was handed them, or says that it had them when it came. */
  readonly known: number;
  /** Live-only messages that this replica was handed before it came: those it was not handed. */
  readonly liveBefore: number;
  /** Offset up to which it has acked; 0: nothing. */
  acked: number;
  /** Those who wait for an ack of it; undefined: nobody, nearly always. */
  waits: Set<AckWait> | undefined;
}

/** A message in its stream: by its offset, or by its id when it is live only. */
export type Place = number | string;

/** Somebody waits until everybody here has acked a message. */
export interface AckWait {
  readonly place: Place;
  /** Those who were handed it, are still there, and have not acked it. */
  readonly missing: Set<Receiver>;
  /** How many have. */
  acked: number;
  /** Who they are, some of them when they are very many. */
  readonly acks: Ack[];
  readonly settle: () => void;
  readonly timer: NodeJS.Timeout;
}

/** A connection that has acked a message. */
export interface Ack {
  /** null when anonymous. */
  readonly user: string | null;
  readonly connection: string;
}
