import { toBelfryError } from "../errors.ts";
import type { Hub } from "../hub/hub.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { parseJson } from "./body.ts";
import { draftOf } from "./publish-routes.ts";
import { addressedMessageSchema, streamOf, validate } from "./schemas.ts";

/**
 * Takes what a backend published straight through Redis: the same form as a message of a batch, checked the same way, live
 * only. What is wrong is counted and logged, and harms nothing.
 */
export function receiveExternalPublish(hub: Hub, payload: Buffer, log: Log, metrics: Metrics): void {
  try {
    const { value, text } = parseJson(payload, "the message");
    const message = validate(addressedMessageSchema, value, "the message");
    hub.deliverHere(streamOf(message.to), draftOf(message, text));
  } catch (thrown) {
    const { message, errors } = toBelfryError(thrown);
    metrics.brokerMalformed.inc({});
    log.warn({ detail: message, errors }, "a message published through Redis was refused");
  }
}
