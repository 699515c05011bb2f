import http, { type ClientRequest, type RequestOptions } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";

/**
 * Most bytes of a body in one request or reply. As base64, and with what stands around it, they must fit into the
 * service's MAX_PAYLOAD_BYTES; these do into its default of 65,536.
 */
const chunkBytes = Number(process.env["CHUNK_BYTES"] ?? 48_000);

/** Header fields by their names in lower case, as `headersDistinct` has them: repeated fields stay apart. */
export type Headers = Record<string, string[]>;

/**
 * What the gateway asks the client, by the request's event, and what is answered. `stream` is the name that the client
 * gave an HTTP request, `seq` counts the calls of a kind in a stream from 0, since nothing else keeps their order.
 */
export interface Calls {
  /** Announces an HTTP request. Nothing is done yet: of several clients the first to answer gets it. */
  open: { ask: { method: string; path: string; headers: Headers; hasBody: boolean }; answer: { stream: string } };
  /** Waits for the status and the headers of the local server's answer, for `waitMs` at most; without: not yet. */
  head: { ask: { stream: string; waitMs: number }; answer: { head?: Head } };
  /** Waits for the next chunk of its body, for `waitMs` at most; without anything: not yet. */
  read: { ask: { stream: string; seq: number; waitMs: number }; answer: { chunk?: string; end?: true } };
  /** Brings a chunk of the request's body. `full`: the local server does not keep up, ask `drain` before the next. */
  write: { ask: { stream: string; seq: number; chunk: string; end: boolean }; answer: { full: boolean } };
  /** Waits until the local server has taken what was written, for `waitMs` at most. */
  drain: { ask: { stream: string; waitMs: number }; answer: { full: boolean } };
  /** The HTTP request is over, or nobody waits for its answer any more. */
  close: { ask: { stream: string }; answer: Record<string, never> };
}

interface Head {
  readonly status: number;
  readonly headers: Headers;
}

/** Instead of an answer: it cannot be done, and why. */
export interface Refusal {
  readonly error: string;
}

/** Fields that are about one connection and not about the message (RFC 9110 section 7.6.1). */
const hopByHop = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** The header fields that are passed on: without those of the hop, and those that `Connection` names as such. */
export function passedOn(headers: NodeJS.Dict<string[]>): Headers {
  const named = (headers["connection"] ?? []).flatMap((value) => value.toLowerCase().split(","));
  const dropped = new Set([...hopByHop, ...named.map((name) => name.trim())]);
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, values]) => (values && !dropped.has(name) ? [[name, values]] : [])),
  );
}

/** The body in chunks that fit. The source is read only when the next is asked for, and paused in between. */
export async function* chunksOf(body: Readable): AsyncGenerator<Buffer, undefined> {
  for await (const data of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    for (let at = 0; at < data.length; at += chunkBytes) yield data.subarray(at, at + chunkBytes);
  }
}

/** Begins a request to a server, over TLS when its URL says so. That it fails is told by whoever waits for the answer. */
export function requestTo(url: URL, options: RequestOptions): ClientRequest {
  const request = (url.protocol === "https:" ? https : http).request(url, options);
  return request.on("error", () => {});
}
