import { formatId, formatLiveId } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import type { Message, Publication } from "./broker.ts";

/*
 * What travels through Redis: a header line of words with a space between, then the payload as it is.
 *
 *   m EPOCH OFFSET TS EXPIRES [COLLAPSE]\n BODY     a stored message; the part from TS on is also what history stores
 *   l SOURCE SEQUENCE TS EXPIRES [COLLAPSE]\n BODY  a live-only message
 *   q REQUEST REPLY-CHANNEL\n JSON                  a question to the replicas subscribed to the channel
 *   a REQUEST\n JSON                                an answer, on the asking replica's own channel
 *
 * COLLAPSE is a JSON string and runs to the end of the line: JSON escapes line feeds.
 */

/** What arrives on a stream's channel. */
export type WireMessage =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "question"; readonly request: string; readonly replyChannel: string; readonly question: unknown };

/** The part of a message that the publisher writes: the script puts its kind and its place before it. */
export function encodeRecord(publication: Publication): string {
  const collapse = publication.collapse === undefined ? "" : ` ${JSON.stringify(publication.collapse)}`;
  return `${publication.ts} ${publication.expiresAtMs}${collapse}\n${publication.body}`;
}

/** A question, whole. */
export function encodeQuestion(request: string, replyChannel: string, question: unknown): string {
  return `q ${request} ${replyChannel}\n${JSON.stringify(question)}`;
}

/** An answer, whole. */
export function encodeAnswer(request: string, answer: unknown): string {
  return `a ${request}\n${JSON.stringify(answer)}`;
}

/**
 * Reads what arrived on a stream's channel.
 *
 * @param stream the stream whose channel it was
 * @throws Error when it is none of the first three forms
 */
export function decodeWire(stream: Stream, payload: Buffer): WireMessage {
  const [header, body] = splitLine(payload);
  const words = header.split(" ");
  const [kind, first = "", second = ""] = words;
  if (kind === "m" || kind === "l") return { kind: "message", message: decodeMessage(stream, words, body) };
  if (kind === "q") {
    return { kind: "question", request: first, replyChannel: second, question: JSON.parse(body.toString()) };
  }
  throw new Error("neither a message nor a question");
}

/**
 * Reads what arrived on a replica's own channel.
 *
 * @throws Error when it is no answer
 */
export function decodeAnswer(payload: Buffer): { readonly request: string; readonly answer: unknown } {
  const [header, body] = splitLine(payload);
  const [kind, request] = header.split(" ");
  if (kind !== "a" || request === undefined) throw new Error("not an answer");
  return { request, answer: JSON.parse(body.toString()) };
}

/** What a decoder reads; undefined, and `onMalformed` is told, when it cannot: one such thing must not keep others back. */
export function readable<T>(decode: () => T, onMalformed: () => void): T | undefined {
  try {
    return decode();
  } catch {
    onMalformed();
    return undefined;
  }
}

/** Reads one entry of a stream's history. */
export function decodeRecord(stream: Stream, epoch: string, offset: string, record: Buffer): Message {
  const [header, body] = splitLine(record);
  return decodeMessage(stream, ["m", epoch, offset, ...header.split(" ")], body);
}

function decodeMessage(stream: Stream, words: readonly string[], body: Buffer): Message {
  const [kind, source = "", number, ts, expiresAt, ...rest] = words;
  const offset = Number(number);
  const numbers = [offset, Number(ts), Number(expiresAt)];
  // The id is written into the clients' frames as it is, so what it is made of must not need escapes.
  if (!numbers.every(Number.isSafeInteger) || !/^[0-9a-z]{1,32}$/.test(source)) throw new Error("not a message header");
  const position = kind === "m" ? { epoch: source, offset } : undefined;
  return {
    stream,
    id: position ? formatId(stream.scope, position) : formatLiveId(source, offset),
    position,
    body,
    ts: Number(ts),
    expiresAtMs: Number(expiresAt),
    collapse: rest.length > 0 ? String(JSON.parse(rest.join(" "))) : undefined,
  };
}

function splitLine(payload: Buffer): [string, Buffer] {
  const end = payload.indexOf(10);
  if (end === -1) throw new Error("no header line");
  return [payload.toString("utf8", 0, end), payload.subarray(end + 1)];
}
