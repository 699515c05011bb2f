import type { HistoryPage } from "../broker/broker.ts";
import type { Position } from "../protocol/positions.ts";
import type { Since } from "../protocol/since.ts";

/** Where a client that resumes is put. */
export interface ResumePlan {
  /** The client is given every message behind this place. */
  readonly from: Position;
  /** Whether that is everything it missed. */
  readonly recovered: boolean;
}

/**
 * Decides what a client that comes back can be given. Where the history does not reach back to what it has, or its epoch
 * is another, or it has more than there is, it is given all that is kept and told that something may be missing.
 *
 * @param history where the stream's history begins and ends
 */
export function planResume(
  since: Since,
  { epoch, first, last }: Pick<HistoryPage, "epoch" | "first" | "last">,
): ResumePlan {
  if (since === "earliest") return { from: { epoch, offset: first - 1 }, recovered: first === 1 };
  if (since.epoch !== epoch || since.offset > last) return { from: { epoch, offset: first - 1 }, recovered: false };
  return { from: { epoch, offset: Math.max(since.offset, first - 1) }, recovered: first <= since.offset + 1 };
}
