import type { Message } from "../broker/broker.ts";
import { frameText, messageHead, type ServerFrame, type WelcomeFrame } from "../protocol/frames.ts";

/** A comment, which clients pass over: it keeps what lies between from taking the stream for dead. */
export const pingComment = ": ping\n\n";

/**
 * Encodes messages, each as the data lines and the end of an event: what all connections share. A line is no JSON's end:
 * white space that is a line break begins another data line, and the client joins them again, by line feeds.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function messageData(messages: readonly Message[]): Buffer[] {
  return messages.map(({ id, body }) => {
    const head = Buffer.from(`data: ${messageHead(id)}`, "latin1");
    return Buffer.concat([head, inDataLines(body), end]);
  });
}

/** Encodes a frame that is no message, likewise. */
export function frameData(frame: WelcomeFrame | ServerFrame): string {
  return `data: ${inLines(frameText(frame))}\n\n`;
}

/**
 * The line that says from where to resume.
 *
 * @param positions ids of messages, one for each stream
 */
export function idLine(positions: Iterable<string>): string {
  return `id: ${[...positions].join(",")}\n`;
}

/** The ids that an `id` line has put together. */
export function splitId(lastEventId: string): string[] {
  return lastEventId.split(",").map((id) => id.trim());
}

/** The last event: why the stream ends, by the codes that a WebSocket is closed with. */
export function closeEvent(code: number, reason: string): string {
  return `event: close\ndata: ${JSON.stringify({ code, reason })}\n\n`;
}

/** Suggests a pause before the client reconnects, in ms. */
export function retryLine(ms: number): string {
  return `retry: ${Math.round(ms)}\n`;
}

const end = Buffer.from("\n\n");

function inDataLines(body: Buffer): Buffer {
  if (!body.includes(0x0a) && !body.includes(0x0d)) return body;
  return Buffer.from(inLines(body.toString("latin1")), "latin1");
}

function inLines(text: string): string {
  return text.replace(/\r\n?|\n/g, "\ndata: ");
}
