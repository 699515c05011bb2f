import type { Authenticator } from "./auth/authenticator.ts";
import { toBelfryError } from "./errors.ts";
import type { Client } from "./hub/client.ts";
import type { Connection } from "./hub/connection.ts";
import type { Hub } from "./hub/hub.ts";
import type { Log } from "./log.ts";
import { type ClientFrame, type ErrorFrame, frameError, type ServerFrame } from "./protocol/frames.ts";

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

/** What client frames are answered with. */
export interface FrameContext {
  readonly hub: Hub;
  readonly log: Log;
  /** Undefined: the service has no use for `message` frames. */
  readonly onMessage: OnMessage | undefined;
  /** Checks newer credentials; undefined where there are none that could expire. */
  readonly authenticator: Authenticator | undefined;
}

/**
 * Does what a well-formed frame of a client's asks for.
 *
 * @returns what to answer, if anything
 */
export async function handleClientFrame(
  frame: ClientFrame,
  connection: Connection,
  context: FrameContext,
): Promise<ServerFrame | undefined> {
  if (frame.type === "ack") return context.hub.receipts.ack(connection, frame);
  if (frame.type === "reply") return context.hub.requests.reply(connection, frame);
  if (frame.type === "message" && context.onMessage) return takeMessage(frame, connection, context.onMessage, context);
  if (frame.type === "auth" && context.authenticator) return renew(frame, connection, context.authenticator, context);
  return frameError("unsupported", `this service has no use for ${frame.type} frames`, frame.ref);
}

async function takeMessage(
  { event, data, ref }: Extract<ClientFrame, { type: "message" }>,
  connection: Connection,
  onMessage: OnMessage,
  { hub, log }: FrameContext,
): Promise<ErrorFrame | undefined> {
  try {
    await onMessage({ ...(event !== undefined && { event }), data }, hub.clientOf(connection), hub);
    return undefined;
  } catch (error) {
    log.error({ err: error, connection: connection.id }, "onMessage failed");
    return frameError("failed", "the service could not handle the message", ref);
  }
}

/** Credentials that are not taken change nothing: the connection lives as long as those that it has. */
async function renew(
  { token, ref }: Extract<ClientFrame, { type: "auth" }>,
  connection: Connection,
  authenticator: Authenticator,
  { hub, log }: FrameContext,
): Promise<ErrorFrame | undefined> {
  try {
    hub.renew(connection, await authenticator.authenticate(token));
    return undefined;
  } catch (thrown) {
    const error = toBelfryError(thrown);
    if (error.level === "error") log.error({ err: error.cause, connection: connection.id }, "renewing failed");
    const isRefusal = error.code === "unauthorized" || error.code === "forbidden";
    return frameError(isRefusal ? error.code : "failed", error.message, ref);
  }
}
