import type { ClientFrame, ErrorFrame, SubscribedFrame, UnsubscribedFrame, WelcomeFrame } from "../protocol/frames.ts";
import type { Scope } from "../protocol/streams.ts";

/** A message, as it comes from the service. */
export interface Message<Data = unknown> {
  /** Opaque; names its place in its stream. Of a message that is live only it begins with `l-`. */
  readonly id: string;
  readonly scope: Scope;
  /** Of messages to a topic. */
  readonly topic?: string;
  /** What the publisher called it, if anything. */
  readonly event?: string;
  readonly data: Data;
  /** When it was published, in ms since the Unix epoch. */
  readonly ts: number;
}

/** What the service sends. */
export type IncomingFrame =
  | WelcomeFrame
  | ({ readonly type: "message" } & Message)
  | SubscribedFrame
  | UnsubscribedFrame
  | { readonly type: "request"; readonly id: string; readonly event?: string; readonly data: unknown }
  | ErrorFrame;

/** What the client sends: what the service reads, which keeps some of it as text. */
export type OutgoingFrame =
  | Exclude<ClientFrame, { readonly type: "reply" | "message" }>
  | { readonly type: "reply"; readonly id: string; readonly data: unknown }
  | { readonly type: "message"; readonly event?: string | undefined; readonly data: unknown };
