export {
  BelfryClient,
  type BelfryClientOptions,
  type ClientEvents,
  type ClientRequest,
} from "./client.ts";
export { BelfryClientError } from "./errors.ts";
export type { Message } from "./frames.ts";
export type { ClientState, StateChange } from "./options.ts";
export type { PositionStorage } from "./positions.ts";
export type { Subscription } from "./subscription.ts";
