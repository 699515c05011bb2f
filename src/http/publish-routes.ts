import type { z } from "zod";
import type { Idempotency } from "../broker/broker.ts";
import { toBelfryError } from "../errors.ts";
import type { Hub } from "../hub/hub.ts";
import type { MessageDraft } from "../hub/messages.ts";
import type { Receipt } from "../hub/publisher.ts";
import { memberSpan, memberSpansOfEach, type Span } from "../protocol/raw-json.ts";
import { broadcastStream, type Stream, topicStream, userStream } from "../protocol/streams.ts";
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

/** Bytes that a publish may have beside its data. */
export const envelopeBytes = 4096;

/** How many messages of the largest size fit into one batch, and what a batch may have in any case. */
const largestInBatch = 128;
const minBatchBytes = 1024 * 1024;

type Fields = z.output<typeof messageSchema>;
type Batch = z.output<typeof batchSchema>;

/** The routes that send messages. */
export function publishRoutes(hub: Hub, maxPayloadBytes: number): Route[] {
  const body = {
    schema: messageSchema,
    maxBytes: maxPayloadBytes + envelopeBytes,
    countMessages: () => 1,
  };
  const answer = { status: 202, description: "Stored, and on its way.", schema: answers.receipt };
  const publish = async (stream: Stream, { body, text, idempotency }: Call) => {
    const { id, receivers, replayed } = await hub.send(stream, draftOf(body as Fields, text, undefined, idempotency));
    return { status: 202, body: { id, receivers }, headers: replayed ? replayedHeaders : undefined };
  };
  return [
    {
      method: "post",
      path: "/broadcast",
      summary: "Send a message to everyone.",
      right: "publish",
      body,
      answer,
      handle: (call) => publish(broadcastStream, call),
    },
    {
      method: "post",
      path: "/users/:id/messages",
      summary: "Send a message to one user, on all of the user's connections.",
      right: "publish",
      body,
      answer,
      handle: (call) => publish(userStream(call.params["id"] ?? ""), call),
    },
    {
      method: "post",
      path: "/topics/:topic/messages",
      summary: "Send a message to the subscribers of a topic.",
      right: "publish",
      body,
      answer,
      handle: (call) => publish(topicStream(call.params["topic"] ?? ""), call),
    },
    {
      method: "post",
      path: "/batch",
      summary: "Send many messages, each on its own: one that is wrong does not keep the others back.",
      right: "publish",
      body: {
        schema: batchSchema,
        maxBytes: Math.max(minBatchBytes, largestInBatch * maxPayloadBytes),
        countMessages: (batch) => (batch as Batch).messages.length,
      },
      answer: { status: 202, description: "A result for each message, in order.", schema: batchAnswerSchema },
      handle: (call) => sendBatch(hub, call),
    },
  ];
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
