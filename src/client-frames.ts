import type { Authenticator } from "./auth/authenticator.ts";
import type { TopicAccess } from "./auth/topic-access.ts";
import { toBelfryError } from "./errors.ts";
import type { Client } from "./hub/client.ts";
import type { Connection } from "./hub/connection.ts";
import type { Hub } from "./hub/hub.ts";
import type { Log } from "./log.ts";
import { type ClientFrame, type ErrorFrame, type FrameRef, frameError, type ServerFrame } from "./protocol/frames.ts";
import type { Position } from "./protocol/positions.ts";
import { parseTopicSince, sinceAmong } from "./protocol/since.ts";

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

type MessageFrame = Extract<ClientFrame, { type: "message" }>;

/** Takes what is to be told to the backend. */
interface Backend {
  /** A client sent a message; false when there is no room for it. */
  sent(connection: Connection, frame: MessageFrame): boolean;
}

/** What client frames are answered with. */
export interface FrameContext {
  readonly hub: Hub;
  readonly log: Log;
  /** Undefined: the service itself has no use for `message` frames. */
  readonly onMessage: OnMessage | undefined;
  readonly topicAccess: TopicAccess;
  /** Tells the backend of `message` frames; undefined: it is not told. */
  readonly backend?: Backend | undefined;
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
  if (frame.type === "subscribe") return subscribe(frame, connection, context);
  if (frame.type === "unsubscribe") return unsubscribe(frame, connection, context);
  if (frame.type === "reply") return context.hub.requests.reply(connection, frame);
  if (frame.type === "message" && (context.onMessage || context.backend)) {
    return takeMessage(frame, connection, context);
  }
  if (frame.type === "auth" && context.authenticator) return renew(frame, connection, context.authenticator, context);
  return frameError("unsupported", `this service has no use for ${frame.type} frames`, frame.ref);
}

/** What is answered when it succeeds is sent by the hub, which knows what must stand before it and behind it. */
async function subscribe(
  { topic, since: given, ref }: Extract<ClientFrame, { type: "subscribe" }>,
  connection: Connection,
  { hub, log, topicAccess }: FrameContext,
): Promise<ErrorFrame | undefined> {
  const since = given === undefined ? undefined : parseTopicSince(given);
  if (given !== undefined && since === undefined) {
    return frameError("malformed", "since: expected the id of a stored message of the topic, or earliest", ref);
  }
  // Nothing says that a newer token was taken, so a client cannot wait for it: what it sends next is for that token.
  const renewed = renewals.get(connection)?.checked;
  const authorize = async () => {
    await renewed;
    return topicAccess.authorize(connection, topic);
  };
  try {
    await hub.topics.subscribe(connection, { topic, sinceIn: () => since, ref, authorize });
    return undefined;
  } catch (thrown) {
    return frameErrorOf(thrown, ref, connection, log);
  }
}

/**
 * Subscribes a connection to topics that it named when it connected. Each is answered as a `subscribe` frame would be whose
 * `ref` is the topic.
 *
 * @param positions what the client has of them, whichever belongs to which
 * @returns true when it is subscribed to all
 */
export async function subscribeToAll(
  connection: Connection,
  topics: readonly string[],
  positions: readonly Position[],
  { hub, log, topicAccess }: FrameContext,
): Promise<boolean> {
  const sinceIn = sinceAmong(positions);
  const subscriptions = topics.map(async (topic) => {
    const authorize = () => topicAccess.authorize(connection, topic);
    try {
      await hub.topics.subscribe(connection, { topic, sinceIn, ref: topic, authorize });
      return true;
    } catch (thrown) {
      connection.send(frameErrorOf(thrown, topic, connection, log));
      return false;
    }
  });
  return (await Promise.all(subscriptions)).every((isSubscribed) => isSubscribed);
}

async function unsubscribe(
  { topic, ref }: Extract<ClientFrame, { type: "unsubscribe" }>,
  connection: Connection,
  { hub, log }: FrameContext,
): Promise<ErrorFrame | undefined> {
  try {
    await hub.topics.unsubscribe(connection, topic, ref);
    return undefined;
  } catch (thrown) {
    return frameErrorOf(thrown, ref, connection, log);
  }
}

/** What went wrong with a frame, as the client is told. */
function frameErrorOf(thrown: unknown, ref: FrameRef | undefined, connection: Connection, log: Log): ErrorFrame {
  const { code, level, message, cause } = toBelfryError(thrown);
  if (level === "error") log.error({ err: cause, connection: connection.id }, "a frame could not be handled");
  const isRefusal = code === "unauthorized" || code === "forbidden" || code === "too_many";
  return frameError(isRefusal ? code : "failed", message, ref);
}

async function takeMessage(
  frame: MessageFrame,
  connection: Connection,
  { hub, log, onMessage, backend }: FrameContext,
): Promise<ErrorFrame | undefined> {
  const { event, data, ref } = frame;
  const isTold = backend?.sent(connection, frame) ?? true;
  try {
    await onMessage?.({ ...(event !== undefined && { event }), data }, hub.clientOf(connection), hub);
  } catch (error) {
    log.error({ err: error, connection: connection.id }, "onMessage failed");
    return frameError("failed", "the service could not handle the message", ref);
  }
  return isTold ? undefined : frameError("failed", "too many messages wait for the backend", ref);
}

/** The `auth` frames of a connection. */
interface Renewals {
  sent: number;
  /** By which of them it lives; 0: none. */
  taken: number;
  /** Resolves when all that were sent are checked; never rejects. */
  checked: Promise<unknown>;
}

const renewals = new WeakMap<Connection, Renewals>();

/** Credentials that are not taken change nothing: the connection lives as long as those that it has. */
function renew(
  frame: Extract<ClientFrame, { type: "auth" }>,
  connection: Connection,
  authenticator: Authenticator,
  context: FrameContext,
): Promise<ErrorFrame | undefined> {
  const own = renewals.get(connection) ?? { sent: 0, taken: 0, checked: Promise.resolve() };
  renewals.set(connection, own);
  const check = checkRenewal(frame, connection, own, authenticator, context);
  own.checked = Promise.all([own.checked, check]);
  return check;
}

async function checkRenewal(
  { token, ref }: Extract<ClientFrame, { type: "auth" }>,
  connection: Connection,
  own: Renewals,
  authenticator: Authenticator,
  { hub, log }: FrameContext,
): Promise<ErrorFrame | undefined> {
  const number = ++own.sent;
  try {
    const credentials = await authenticator.authenticate(token);
    // Checks overtake each other; what was sent before the token that is taken already has nothing to say any more.
    if (number < own.taken) return undefined;
    hub.renew(connection, credentials);
    own.taken = number;
    return undefined;
  } catch (thrown) {
    return frameErrorOf(thrown, ref, connection, log);
  }
}
