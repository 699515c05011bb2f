import type { FrameRef } from "../protocol/frames.ts";
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

/** What the service sends, as far as the client reads it. */
export type IncomingFrame =
  | {
      readonly type: "welcome";
      readonly connection: string;
      readonly user: string | null;
      readonly positions: { readonly broadcast: string; readonly user?: string };
      readonly recovered: { readonly broadcast?: boolean; readonly user?: boolean };
      readonly heartbeat: number;
      readonly secret?: string;
    }
  | ({ readonly type: "message" } & Message)
  | {
      readonly type: "subscribed";
      readonly topic: string;
      readonly position: string;
      readonly recovered?: boolean;
      readonly users?: readonly string[];
      readonly ref?: FrameRef;
    }
  | { readonly type: "unsubscribed"; readonly topic: string; readonly ref?: FrameRef }
  | { readonly type: "request"; readonly id: string; readonly event?: string; readonly data: unknown }
  | { readonly type: "error"; readonly code: string; readonly detail: string; readonly ref?: FrameRef };

/** What the client sends. */
export type OutgoingFrame = { readonly ref?: FrameRef | undefined } & (
  | { readonly type: "ack"; readonly id: string }
  | { readonly type: "subscribe"; readonly topic: string; readonly since?: string | undefined }
  | { readonly type: "unsubscribe"; readonly topic: string }
  | { readonly type: "reply"; readonly id: string; readonly data: unknown }
  | { readonly type: "message"; readonly event?: string | undefined; readonly data: unknown }
  | { readonly type: "auth"; readonly token: string }
);
