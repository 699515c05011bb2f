import type { Client } from "./hub/client.ts";
import type { Hub } from "./hub/hub.ts";
import type { Log } from "./log.ts";
import { type ClientFrame, type ErrorFrame, frameError } from "./protocol/frames.ts";

/** A `message` frame of a client's. */
export interface ClientMessage {
  /** What the client called it, if anything. */
  readonly event?: string;
  /** Any JSON value. */
  readonly data: unknown;
}

/**
 * Takes what clients send. When it throws or rejects, the client gets an error frame `failed`, and the cause is logged.
 */
export type OnMessage = (message: ClientMessage, client: Client, hub: Hub) => unknown;

/**
 * Does what a well-formed frame of a client's asks for.
 *
 * @returns the error to answer with, if any
 */
export async function handleClientFrame(
  frame: ClientFrame,
  client: Client,
  hub: Hub,
  log: Log,
  onMessage: OnMessage | undefined,
): Promise<ErrorFrame | undefined> {
  if (frame.type === "ack") return undefined;
  if (frame.type !== "message" || !onMessage) {
    return frameError("unsupported", `this service has no use for ${frame.type} frames`, frame.ref);
  }
  try {
    const { event, data } = frame;
    await onMessage({ ...(event !== undefined && { event }), data }, client, hub);
    return undefined;
  } catch (error) {
    log.error({ err: error, connection: client.connection }, "onMessage failed");
    return frameError("failed", "the service could not handle the message", frame.ref);
  }
}
