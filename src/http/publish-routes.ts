import type { z } from "zod";
import type { Idempotency } from "../broker/broker.ts";
import { toBelfryError } from "../errors.ts";
import type { Hub } from "../hub/hub.ts";
import type { MessageDraft } from "../hub/messages.ts";
import type { Receipt } from "../hub/publisher.ts";
import { memberSpan, memberSpansOfEach, type Span } from "../protocol/raw-json.ts";
import { broadcastStream, type Stream, topicStream, userStream } from "../protocol/streams.ts";
import { envelopeBytes } from "./body.ts";
import { acksSchema, batchQuerySchema, waitQuerySchema } from "./receipt-schemas.ts";
import { requestRoute } from "./request-route.ts";
import type { Answer, Call, Route } from "./route.ts";
import {
  addressedMessageSchema,
  answers,
  batchAnswerSchema,
  batchSchema,
  messageSchema,
  streamOf,
  validate,
} from "./schemas.ts";

const replayedHeaders = { "Idempotency-Replayed": "true" };

/** How many messages of the largest size fit into one batch, and what a batch may have in any case. */
const largestInBatch = 128;
const minBatchBytes = 1024 * 1024;

/** How long acks are waited for when the caller does not say, in ms. */
const defaultAckTimeoutMs = 5000;

type Fields = z.output<typeof messageSchema>;
type Batch = z.output<typeof batchSchema>;

/** The routes that send messages and requests. */
export function publishRoutes(hub: Hub, maxPayloadBytes: number): Route[] {
  const body = {
    schema: messageSchema,
    maxBytes: maxPayloadBytes + envelopeBytes,
    countMessages: () => 1,
  };
  const shared = {
    method: "post",
    right: "publish",
    query: waitQuerySchema,
    body,
    answer: { status: 202, description: "Stored, and on its way.", schema: answers.receipt },
    otherAnswer: { status: 200, description: "With wait=ack: who has acked it.", schema: acksSchema },
  } as const;
  return [
    {
      ...shared,
      path: "/broadcast",
      summary: "Send a message to everyone.",
      handle: (call) => publish(hub, broadcastStream, call),
    },
    {
      ...shared,
      path: "/users/:id/messages",
      summary: "Send a message to one user, on all of the user's connections.",
      handle: (call) => publish(hub, userStream(call.params["id"] ?? ""), call),
    },
    {
      ...shared,
      path: "/topics/:topic/messages",
      summary: "Send a message to the subscribers of a topic.",
      handle: (call) => publish(hub, topicStream(call.params["topic"] ?? ""), call),
    },
    {
      method: "post",
      path: "/batch",
      summary: "Send many messages, each on its own: one that is wrong does not keep the others back.",
      right: "publish",
      query: batchQuerySchema,
      body: {
        schema: batchSchema,
        maxBytes: Math.max(minBatchBytes, largestInBatch * maxPayloadBytes),
        countMessages: (batch) => (batch as Batch).messages.length,
      },
      answer: { status: 202, description: "A result for each message, in order.", schema: batchAnswerSchema },
      handle: (call) => sendBatch(hub, call),
    },
    requestRoute(hub, maxPayloadBytes),
  ];
}

async function publish(hub: Hub, stream: Stream, { body, text, query, idempotency, hungUp }: Call): Promise<Answer> {
  const { id, receivers, replayed } = await hub.send(stream, draftOf(body as Fields, text, undefined, idempotency));
  const headers = replayed ? replayedHeaders : undefined;
  if (query["wait"] === undefined) return { status: 202, body: { id, receivers }, headers };
  const timeoutMs = Number(query["timeout"] ?? defaultAckTimeoutMs);
  const acks = await hub.receipts.wait(stream, id, timeoutMs, hungUp());
  return { status: 200, body: { id, ...acks }, headers };
}

/**
 * What the hub sends: the data as the text it came in.
 *
 * @param data where it stands in the text
 */
export function draftOf(
  { event, ttl, collapse }: Fields,
  text: string,
  data: Span | undefined = memberSpan(text, "data"),
  idempotency?: Idempotency,
): MessageDraft {
  const [start, end] = data as Span;
  return { json: text.slice(start, end), event, ttl, collapse, idempotency };
}

async function sendBatch(hub: Hub, { body, text, idempotency }: Call): Promise<Answer> {
  if (idempotency) await hub.claim(idempotency);
  const [start] = memberSpan(text, "messages") as Span;
  // In order, without waiting in between: messages to one stream keep their order.
  const { messages } = body as Batch;
  const sent = memberSpansOfEach(text, "data", start).map(async (data, index): Promise<Receipt> => {
    const message = validate(addressedMessageSchema, messages[index], "the message");
    // Each place of the batch is repeated harmlessly on its own, so that a batch that broke off can be completed.
    const place = idempotency && { ...idempotency, key: `${idempotency.key}\n${index}` };
    return hub.send(streamOf(message.to), draftOf(message, text, data, place));
  });
  const settled = await Promise.allSettled(sent);
  const errors = settled.flatMap((one) => (one.status === "rejected" ? [toBelfryError(one.reason)] : []));
  const [first] = errors;
  if (first && errors.length === settled.length && errors.every(({ code }) => code === "unavailable")) throw first;
  const results = settled.map((one) => {
    if (one.status === "rejected") return { error: toBelfryError(one.reason).toProblem() };
    const { replayed, ...receipt } = one.value;
    return receipt;
  });
  const replayed = settled.some((one) => one.status === "fulfilled" && one.value.replayed);
  return { status: 202, body: { results }, ...(replayed && { headers: replayedHeaders }) };
}
