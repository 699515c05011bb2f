import type { PositionStorage } from "./positions.ts";

/** Settings of a client. Who it is: one of `user`, `token` and `getToken`, or none of them for an anonymous client. */
export interface ClientOptions {
  /** User id; for services with `AUTH_MODE=none`. */
  readonly user?: string;
  /** A token that is used as long as it is valid. */
  readonly token?: string;
  /** Gives a token: asked before each connection, and before the one in use expires. */
  readonly getToken?: () => string | Promise<string>;
  /** Keeps the positions, such as `sessionStorage`: a page that is reloaded resumes then. Default: they go with the client. */
  readonly storage?: PositionStorage;
  /** Which transports, in the order they are tried. Default: WebSocket, and Server-Sent Events where that is blocked. */
  readonly transports?: readonly ("ws" | "sse")[];
}

/**
 * - `connecting`: on its way
 * - `connected`: welcomed by the service
 * - `waiting`: for the next try
 * - `closed`: for good: by {@link BelfryClient.close}, or because the service said not to come back
 */
export type ClientState = "connecting" | "connected" | "waiting" | "closed";

/** A change of a client's state. */
export interface StateChange {
  readonly state: ClientState;
  /** When waiting: ms until the next try. */
  readonly retryInMs?: number;
  /** Close code of the connection that has ended; 1006 when it broke or did not come about. */
  readonly code?: number;
  readonly reason?: string;
}
