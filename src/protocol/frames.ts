import { isNestedDeeper, memberSpan } from "./raw-json.ts";
import { isName } from "./user-ids.ts";

/** How deep arrays and objects of a client's frame may stand in each other, the frame itself included. */
const maxDepth = 64;

/** The first frame of every connection. */
export interface WelcomeFrame {
  readonly type: "welcome";
  /** Id of this connection. */
  readonly connection: string;
  /** Who the connection belongs to; null when anonymous. */
  readonly user: string | null;
  /** The ids to resume from if nothing arrives after this frame; `user` is missing when anonymous. */
  readonly positions: { readonly broadcast: string; readonly user?: string };
  /** For each stream that `since` named: whether everything after that id could be sent. */
  readonly recovered: { readonly broadcast?: boolean; readonly user?: boolean };
  /** Longest time between two pings, in ms. */
  readonly heartbeat: number;
  /** Server-Sent Events only: what the client sends its own frames with. */
  readonly secret?: string;
}

/** The connection is handed the messages of a topic from here on: because it asked for it, or because its user is subscribed. */
export interface SubscribedFrame {
  readonly type: "subscribed";
  readonly topic: string;
  /** The id to resume from if nothing arrives after this frame. */
  readonly position: string;
  /** When `since` was given: whether everything after that id could be sent. */
  readonly recovered?: boolean | undefined;
  /** For topics that tell who is there: the users, this one's own other connections included; at most 1,000. */
  readonly users?: readonly string[] | undefined;
  readonly ref?: FrameRef | undefined;
}

/** The connection is handed no message of a topic any more. */
export interface UnsubscribedFrame {
  readonly type: "unsubscribed";
  readonly topic: string;
  readonly ref?: FrameRef | undefined;
}

/** The publisher waits for an answer: a `reply` with this id. */
interface RequestFrame {
  readonly type: "request";
  readonly id: string;
  /** Name of what is asked, when given. */
  readonly event?: string | undefined;
  /** The data as JSON text; see {@link frameText}. */
  readonly json: string;
}

/** Says what was wrong with a frame of the client's; the connection lives on. */
export interface ErrorFrame {
  readonly type: "error";
  /** Stable code, see {@link FrameErrorCode}. */
  readonly code: FrameErrorCode;
  readonly detail: string;
  /** The offending frame's `ref`, if it had one. */
  readonly ref?: FrameRef;
}

/**
 * - `malformed`: not a JSON object, nested deeper than 64 levels, or a member is missing or of the wrong kind
 * - `unknown_type`: `type` names no frame
 * - `unsupported`: a frame that this service has nothing to do with, such as `message` where there is neither `onMessage` nor a webhook
 * - `unauthorized`, `forbidden`: the token of an `auth` frame is not valid, or is of another user; `forbidden` too: the topic
 *   may not be subscribed to, or the user's subscription not be ended
 * - `not_found`: an ack of a message that was never sent to this connection; a reply to a request that is over, or that was
 *   not put to this connection
 * - `too_many`: the connection has as many topics as it may have, or changes one too often
 * - `failed`: the service's `onMessage` threw, the backend is too slow to be told, or the token or the topic could not be looked
 *   up; it may be tried again
 */
export type FrameErrorCode =
  | "malformed"
  | "unknown_type"
  | "unsupported"
  | "unauthorized"
  | "forbidden"
  | "too_many"
  | "not_found"
  | "failed";

/** Chosen by the client to match answers to frames: a number within ±2^53, or a text of at most 128 characters. */
export type FrameRef = string | number;

/** What a client is sent beside messages and its welcome. */
export type ServerFrame = SubscribedFrame | UnsubscribedFrame | RequestFrame | ErrorFrame;

/** What a client may send. */
export type ClientFrame = { readonly ref?: FrameRef } & (
  | { readonly type: "ack"; readonly id: string }
  | { readonly type: "subscribe"; readonly topic: string; readonly since?: string | undefined }
  | { readonly type: "unsubscribe"; readonly topic: string }
  /** `json` is the text of its `data`, as the client wrote it. */
  | { readonly type: "reply"; readonly id: string; readonly json: string }
  | {
      readonly type: "message";
      readonly event?: string;
      readonly data: unknown;
      /** The whole frame as it came, for who hands `data` on exactly as it was written. */
      readonly text: string;
    }
  | { readonly type: "auth"; readonly token: string }
);

type Members = Readonly<Record<string, unknown>>;

const isText = (value: unknown) => typeof value === "string" && value.length > 0;
const isNameValue = (value: unknown) => typeof value === "string" && isName(value);

interface MemberRule {
  readonly name: string;
  readonly optional?: true;
  readonly check: (value: unknown) => boolean;
  readonly expected: string;
}

const topic: MemberRule = { name: "topic", check: isNameValue, expected: "a text of 1 to 128 characters" };
const id: MemberRule = { name: "id", check: isText, expected: "a text that is not empty" };
const data: MemberRule = { name: "data", check: (value) => value !== undefined, expected: "any JSON value" };

const rules: Readonly<Record<ClientFrame["type"], readonly MemberRule[]>> = {
  ack: [id],
  subscribe: [topic, { ...id, name: "since", optional: true }],
  unsubscribe: [topic],
  reply: [id, data],
  message: [{ ...topic, name: "event", optional: true }, data],
  auth: [{ ...id, name: "token" }],
};

/**
 * Reads one frame of a client's. Members that the frame's type does not know are ignored.
 *
 * @param text the payload of one text message, already known to be valid UTF-8
 * @returns the frame, or the error frame to answer with
 */
export function parseClientFrame(text: string): ClientFrame | ErrorFrame {
  if (isNestedDeeper(text, maxDepth))
    return frameError("malformed", `the frame is nested deeper than ${maxDepth} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return frameError("malformed", "the frame is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return frameError("malformed", "the frame is not a JSON object");
  }
  const { ref: given, ...frame } = value as Members;
  const ref = isRef(given) ? given : undefined;
  const type = frame["type"];
  if (typeof type !== "string") return frameError("malformed", "type: expected a text", ref);
  if (!isFrameType(type)) return frameError("unknown_type", `type: not one of ${Object.keys(rules).join(", ")}`, ref);
  for (const { name, optional, check, expected } of rules[type]) {
    if (optional && frame[name] === undefined) continue;
    if (!check(frame[name])) return frameError("malformed", `${name}: expected ${expected}`, ref);
  }
  const withRef = ref !== undefined && { ref };
  if (type !== "reply") return { ...frame, ...(type === "message" && { text }), ...withRef } as ClientFrame;
  return { type, id: String(frame["id"]), json: text.slice(...(memberSpan(text, "data") ?? [])), ...withRef };
}

/** Writes a frame beside the messages as JSON text; data goes on as it came, and is not parsed and written again. */
export function frameText(frame: WelcomeFrame | ServerFrame): string {
  if (frame.type !== "request") return JSON.stringify(frame);
  const { type, id, event, json } = frame;
  return `${JSON.stringify({ type, id, event }).slice(0, -1)},"data":${json}}`;
}

/** How the frame of a message begins; what comes behind its id is the same for whoever gets it. */
export function messageHead(id: string): string {
  return `{"type":"message","id":"${id}",`;
}

/** Builds an error frame. */
export function frameError(code: FrameErrorCode, detail: string, ref?: FrameRef): ErrorFrame {
  return { type: "error", code, detail, ...(ref !== undefined && { ref }) };
}

/** True for what can come back as it was: a number with more digits than JSON.parse can hold would come back as another. */
function isRef(value: unknown): value is FrameRef {
  if (typeof value === "number") return Math.abs(value) <= Number.MAX_SAFE_INTEGER;
  return typeof value === "string" && value.length <= 128;
}

function isFrameType(type: string): type is ClientFrame["type"] {
  return Object.hasOwn(rules, type);
}
