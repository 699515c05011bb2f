import type { Message } from "../broker/broker.ts";
import { BelfryError } from "../errors.ts";
import type { Hub } from "../hub/hub.ts";
import { parseId } from "../protocol/positions.ts";
import { broadcastStream, type Scope, type Stream, topicStream, userStream } from "../protocol/streams.ts";
import { foundMessageSchema } from "./receipt-schemas.ts";
import type { Answer, Call, Route } from "./route.ts";
import { historyAnswerSchema, historyQuerySchema } from "./schemas.ts";

/** Messages in a page when the caller does not say how many. */
const defaultLimit = 100;

/** Bytes of messages after which a page ends early, with one message at least. */
const maxPageBytes = 4 * 1024 * 1024;

/** The routes that read history. */
export function historyRoutes(hub: Hub): Route[] {
  const route = (path: string, of: string, scope: Scope, streamOf: (call: Call) => Stream): Route => ({
    method: "get",
    path,
    summary: `Read the history of ${of}, page by page.`,
    right: "read",
    query: historyQuerySchema(scope),
    answer: { status: 200, description: "Messages in their order, oldest first.", schema: historyAnswerSchema },
    handle: (call) => readHistory(hub, streamOf(call), call),
  });
  return [
    route("/broadcast", "broadcasts", "broadcast", () => broadcastStream),
    route("/users/:id/messages", "a user's messages", "user", ({ params }) => userStream(params["id"] ?? "")),
    route("/topics/:topic/messages", "a topic", "topic", ({ params }) => topicStream(params["topic"] ?? "")),
    {
      method: "get",
      path: "/messages/:id",
      summary: "Read one message, and who has acked it.",
      right: "read",
      answer: { status: 200, description: "The message.", schema: foundMessageSchema },
      problems: { 404: "There is no such message in history, or not any more." },
      handle: ({ params }) => readMessage(hub, params["id"] ?? ""),
    },
  ];
}

async function readHistory(hub: Hub, stream: Stream, { query }: Call): Promise<Answer> {
  const after = query["after"] === undefined ? undefined : parseId(query["after"]);
  const limit = Number(query["limit"] ?? defaultLimit);
  const page = await hub.history(stream, after, limit);
  const messages = cutToSize(page.messages).map(({ id, body }) => `{"id":"${id}",${body}`);
  const { epoch, first, last } = page;
  // The messages are written as they are stored, so that their data is what was sent.
  const body = `{"epoch":"${epoch}","first":${first},"last":${last},"messages":[${messages.join(",")}]}`;
  return { status: 200, body, contentType: "application/json" };
}

async function readMessage(hub: Hub, id: string): Promise<Answer> {
  const found = await hub.receipts.find(id);
  if (!found) throw new BelfryError("not_found", "there is no such message in history, or not any more");
  const { message, acked, acks } = found;
  // All of the frame but its last brace.
  const fields = message.body.toString("utf8", 0, message.body.length - 1);
  const body = `{"id":"${message.id}",${fields},"acked":${acked},"acks":${JSON.stringify(acks)}}`;
  return { status: 200, body, contentType: "application/json" };
}

function cutToSize(messages: readonly Message[]): readonly Message[] {
  let bytes = 0;
  const end = messages.findIndex(({ body }, index) => {
    bytes += body.length;
    return index > 0 && bytes > maxPageBytes;
  });
  return end === -1 ? messages : messages.slice(0, end);
}
