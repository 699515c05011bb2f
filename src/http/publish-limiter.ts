import type { Broker } from "../broker/broker.ts";
import { BelfryError } from "../errors.ts";

/**
 * Counts the messages that a request publishes.
 *
 * @param publisher name of the request's API key
 * @throws BelfryError `too_many`, and `unavailable` when they cannot be counted: then they could not be published either
 */
export type PublishLimiter = (publisher: string, messages: number) => Promise<void>;

/**
 * Makes what keeps MAX_PUBLISHES_PER_SECOND.
 *
 * @param perSecond messages that each key may publish; undefined: there is no limit, and nothing to do for a request
 */
export function publishLimiterOf(broker: Broker, perSecond: number | undefined): PublishLimiter | undefined {
  if (perSecond === undefined) return undefined;
  return async (publisher, messages) => {
    const waitMs = await broker.countPublishes(publisher, messages);
    if (waitMs === 0) return;
    const retryAfterSeconds = Math.ceil(waitMs / 1000);
    throw new BelfryError("too_many", `more than ${perSecond} messages a second`, { retryAfterSeconds });
  };
}
