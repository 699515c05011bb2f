import type { OutgoingFrame } from "./frames.ts";

/** Where and as whom a link is made. */
interface LinkPlan {
  /** The service's address, ending with a slash: `http:` or `https:`. */
  readonly base: URL;
  /** User id as a flag, or token; undefined: anonymous. */
  readonly flag: string | undefined;
  /** Ids to resume from. */
  readonly since: readonly string[];
}

/** What a link reports; nothing comes after `closed`. */
interface LinkHandler {
  /** A frame, as JSON text. */
  frame(text: string): void;
  /** Something came that is no frame: the other side is there. */
  alive(): void;
  /** @param code as of a WebSocket; 1006 when the connection broke or did not come about */
  closed(code: number, reason: string): void;
}

/** One connection, by whichever transport, from its beginning to its end. */
export interface Link {
  send(frame: OutgoingFrame): void;
  /** Ends it; `closed` is not called then. */
  close(): void;
}

/** Makes a link. */
export type Transport = (plan: LinkPlan, handler: LinkHandler) => Link;
