import { createHash } from "node:crypto";
import { marker } from "../test/support/secrets.ts";
import type { Case } from "./case.ts";
import { opcodes } from "./client-frame.ts";
import { type HttpAnswer, readAnswers } from "./http-answer.ts";
import { readFrames, type ServerFrame } from "./server-frame.ts";

/** What came of a case. */
export interface Verdict {
  /** Statuses of the answers and the code of the close frame, for the tally. */
  readonly answers: readonly string[];
  /** What is wrong; undefined: nothing. */
  readonly fault: string | undefined;
}

/** Statuses that docs/http-api.md and docs/protocol.md know, but for 500. */
const statuses = new Set([
  100, 101, 200, 202, 400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 422, 426, 429, 431, 504,
]);

/** Headers that must come with a status. */
const companions: Readonly<Record<number, string>> = {
  401: "www-authenticate",
  405: "allow",
  426: "upgrade",
  429: "retry-after",
};

/** Codes of docs/protocol.md, and those with which a close frame of the client's may be answered. */
const serviceCloses = new Set([1002, 1003, 1007, 1008, 1009, 4401, 4403, 4408, 4429]);

/** What the service sends; subscriptions too, unasked, since calls of the API subscribe users to topics. */
const frameTypes = new Set(["welcome", "message", "subscribed", "unsubscribed", "request", "error"]);

/** Judges what came back. */
export function judge({ chunks }: Case, received: Buffer): Verdict {
  const sent = Buffer.concat(chunks);
  const { answers, rest, fault } = readAnswers(received, sent.includes("HEAD"));
  const seen = answers.map(({ status }) => String(status));
  const last = answers.at(-1);
  const httpFault = fault ?? firstFault(answers, answerFault) ?? secretFault(answers);
  if (httpFault !== undefined || last?.status !== 101) return { answers: seen, fault: httpFault };
  const isDeflateAgreed = last.headers.has("sec-websocket-extensions");
  const read = readFrames(rest, isDeflateAgreed);
  const close = read.frames.find(({ opcode }) => opcode === opcodes.close);
  if (close) seen.push(`close ${codeOf(close) ?? "without a code"}`);
  return { answers: seen, fault: handshakeFault(last, sent) ?? read.fault ?? framesFault(read.frames) };
}

function firstFault<T>(items: readonly T[], faultOf: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const fault = faultOf(item);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function answerFault({ status, headers, body }: HttpAnswer): string | undefined {
  if (!statuses.has(status)) return `status ${status}: ${body.toString().slice(0, 300)}`;
  const companion = companions[status];
  if (companion !== undefined && !headers.has(companion)) return `${status} without ${companion}`;
  const type = headers.get("content-type")?.[0];
  if (status < 400) return body.length > 0 && type === "application/json" ? jsonFault(body) : undefined;
  if (type !== "application/problem+json") return `${status} as ${type}`;
  return body.length > 0 ? problemFault(status, body) : undefined;
}

function jsonFault(body: Buffer): string | undefined {
  try {
    JSON.parse(body.toString());
    return undefined;
  } catch (error) {
    return `an answer that is not JSON: ${error}`;
  }
}

function problemFault(status: number, body: Buffer): string | undefined {
  const fault = jsonFault(body);
  if (fault !== undefined) return fault;
  const problem = JSON.parse(body.toString()) as Readonly<Record<string, unknown>>;
  if (!/^urn:belfry:error:[a-z_]+$/.test(String(problem["type"]))) return "a problem without a type";
  if (problem["status"] !== status) return `a problem of status ${problem["status"]} as ${status}`;
  if (typeof problem["title"] !== "string" || typeof problem["detail"] !== "string") return "a problem without words";
  if (status === 422 && !Array.isArray(problem["errors"]) && !/AUTH_MODE|Idempotency-Key/.test(problem["detail"]))
    return "422 without errors";
  return /\bat .*\.[jt]s:\d|node:internal/.test(body.toString()) ? "a stack in an answer" : undefined;
}

function secretFault(answers: readonly HttpAnswer[]): string | undefined {
  // History gives the data of the good publisher back, which bears the marker as well.
  const isTold = answers.some(({ status, body, headers }) =>
    `${[...headers.values()]}${status < 400 ? "" : body}`.includes(marker),
  );
  return isTold ? "a secret in an answer" : undefined;
}

function handshakeFault({ headers }: HttpAnswer, sent: Buffer): string | undefined {
  const text = sent.toString("latin1");
  const accepts = Array.from(text.matchAll(/sec-websocket-key:[ \t]*([^\r\n]*?)[ \t]*\r?\n/gi), ([, key]) =>
    createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64"),
  );
  if (!accepts.includes(headers.get("sec-websocket-accept")?.[0] ?? "")) return "a wrong Sec-WebSocket-Accept";
  const selected = headers.get("sec-websocket-protocol")?.[0];
  if (selected === undefined) return undefined;
  const offers = Array.from(text.matchAll(/sec-websocket-protocol:([^\r\n]*)/gi), ([, offer = ""]) => offer).join(",");
  const offered = offers.split(",").map((one) => one.trim());
  if (!offered.includes(selected)) return `the subprotocol ${selected} was not offered`;
  return offered.includes("belfry.v1") && selected !== "belfry.v1" ? "the flag came back" : undefined;
}

/** The first frame says welcome, unless the client is turned away; no other does. */
function framesFault(frames: readonly ServerFrame[]): string | undefined {
  return firstFault([...frames.entries()], ([index, frame]) => {
    if (frame.opcode === opcodes.close) return closeFault(frame, index);
    if (frame.opcode !== opcodes.text) return index === 0 ? "the first frame is no text" : undefined;
    const fault = jsonFault(frame.payload);
    if (fault !== undefined) return fault;
    const { type, code, detail } = JSON.parse(frame.payload.toString()) as Readonly<Record<string, unknown>>;
    if ((type === "welcome") !== (index === 0)) return `frame ${index} is ${type}`;
    if (type === "error" && (typeof code !== "string" || typeof detail !== "string")) return "an error without words";
    return frameTypes.has(String(type)) ? undefined : `a frame of type ${type}`;
  });
}

function closeFault(frame: ServerFrame, index: number): string | undefined {
  const code = codeOf(frame);
  if (index === 0 && code !== 4401 && code !== 4429) return `closed with ${code} before the welcome`;
  if (code === undefined) return frame.payload.length === 0 ? undefined : "a close frame of one byte";
  // What the client said itself comes back.
  return serviceCloses.has(code) || (code >= 1000 && code <= 4999) ? undefined : `closed with ${code}`;
}

function codeOf({ payload }: ServerFrame): number | undefined {
  return payload.length >= 2 ? payload.readUInt16BE(0) : undefined;
}
