import type { Token } from "../credentials.ts";
import type { CloseCause } from "../protocol/close-codes.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import type { Delivery } from "./delivery.ts";

/** How a client is connected. */
export type Transport = "ws" | "sse";

/** Why a connection ended, as metrics and logs call it. */
export type EndCause = CloseCause | "client" | "heartbeat" | "protocol_error";

/** What a client is told first. */
export interface Welcome {
  /** The ids to resume from if nothing arrives any more; `user` is missing when anonymous. */
  readonly positions: { readonly broadcast: string; readonly user?: string };
  /** For each stream that the client resumes: whether it is given everything that it missed. */
  readonly recovered: { readonly broadcast?: boolean; readonly user?: boolean };
  /**
   * The ids that the client has named of topics. Until {@link Connection.topicsApplied} nobody knows which of them count, so
   * a client that goes before must name them again. Default: none.
   */
  readonly topics?: readonly string[];
}

/** What the hub asks of a transport's connection. None of these throws. */
export interface Connection {
  /** Unique over all replicas. */
  readonly id: string;
  /** Whose connection it is; null when anonymous. */
  readonly user: string | null;
  /** What it was let in with, or has renewed that with since; undefined where there is nothing that could expire. */
  readonly token: Token | undefined;
  readonly transport: Transport;
  /** When it was registered, in ms since the Unix epoch. */
  readonly connectedAtMs: number;
  /** The client's address, as far as proxies are trusted. */
  readonly remote: string;

  /** Sends the first frame; called once, when the connection is registered. */
  welcome(welcome: Welcome): void;

  /** The connection was put into all topics that its user is subscribed to, where the client has named them behind what it has. */
  topicsApplied(): void;

  /** Sends a frame that is no message; what was delivered before stays before it. Closes the connection as slow when too much waits. */
  send(frame: ServerFrame): void;

  /**
   * Sends messages, or closes the connection as slow when too much waits already that still matters.
   *
   * @returns true when they were written, or wait to be written unless they stop mattering before
   */
  deliver(delivery: Delivery): boolean;

  /** Gathers what is delivered until {@link uncork}, so that a page of history is one write and not a hundred. */
  cork(): void;

  /** Writes what was gathered. */
  uncork(): void;

  /**
   * Paces the replay of history: undefined when a message may be delivered now, else a promise that resolves when it is
   * worth asking again, at the latest when the connection has ended.
   */
  pace(delivery: Delivery): Promise<void> | undefined;

  /** Takes a newer token in place of the one that it has. */
  renew(token: Token | undefined): void;

  /** True from the moment the connection is going. */
  readonly gone: boolean;

  /**
   * Unregisters the connection and closes it; a second call does nothing.
   *
   * @param reason at most 123 bytes of UTF-8; default: the one of the table of close codes
   */
  close(cause: CloseCause, reason?: string): void;
}
