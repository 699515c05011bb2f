import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readText } from "node:stream/consumers";
import { type Calls, chunksOf, type Headers, passedOn, type Refusal, requestTo } from "./wire.ts";

const api = process.env["BELFRY_API"] ?? "http://127.0.0.1:8080";
const key = process.env["API_KEY"];
const user = process.env["TUNNEL"] ?? "tunnel";
const requests = new URL(`/users/${encodeURIComponent(user)}/requests`, api);
/** How long an answer may take: that of the local server until its head comes, and the client's to any call. */
const timeoutMs = Number(process.env["TIMEOUT_MS"] ?? 30_000);
/** After so long the client says that there is nothing yet, so that it is known to be there. */
const waitMs = timeoutMs / 2;

/** Chunks of one stream that are asked for, or brought, at once. */
const maxWindow = 4;
/** Chunks of bodies on their way to the client at once: those that wait for it count against SEND_BUFFER_BYTES, 1 MiB. */
const maxWrites = 8;

/** What the caller is answered when the request cannot be carried out. */
class Failure extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The client's answer to one call. */
async function ask<E extends keyof Calls>(event: E, data: Calls[E]["ask"], signal?: AbortSignal) {
  const { status, text } = await post(JSON.stringify({ event, data, timeout: timeoutMs }), signal).catch(() => {
    throw new Failure(502, "the push service cannot be reached");
  });
  if (status === 404) throw new Failure(502, "the tunnel is not connected");
  if (status === 504) throw new Failure(504, "no answer in time");
  if (status !== 200) throw new Failure(502, `the push service answered ${status}`);
  const { data: answer } = JSON.parse(text) as { data: Calls[E]["answer"] | Refusal };
  if ("error" in answer) throw new Failure(502, answer.error);
  return answer;
}

async function post(body: string, signal?: AbortSignal): Promise<{ status: number | undefined; text: string }> {
  const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
  const request = requestTo(requests, { method: "POST", headers, ...(signal && { signal }) });
  // The service answers in time by itself, unless the way to it is broken.
  request.setTimeout(timeoutMs + 5000, () => request.destroy());
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { status: response.statusCode, text: await readText(response) };
}

/** Carries one HTTP request through the tunnel, and its answer back. */
async function carry(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const over = new AbortController();
  response.on("close", () => over.abort());
  const { "content-length": length, "transfer-encoding": coding } = request.headers;
  const hasBody = coding !== undefined || Number(length) > 0;
  const { method = "GET", url: path = "/" } = request;
  const { stream } = await ask("open", { method, path, headers: headersOf(request), hasBody }, over.signal);
  try {
    const sent = hasBody ? upload(stream, request, over.signal) : Promise.resolve();
    const answered = download(stream, response, sent, over.signal);
    // An answer may come before the whole body was sent, and is all that counts; a body that cannot be sent has none.
    await Promise.race([answered, sent.then(() => answered)]);
  } finally {
    over.abort();
    ask("close", { stream }).catch(() => {});
  }
}

function headersOf(request: IncomingMessage): Headers {
  const { host = [], expect, ...headers } = passedOn(request.headersDistinct);
  const from = request.socket.remoteAddress ?? "unknown";
  return {
    ...headers,
    via: [...(headers["via"] ?? []), "1.1 belfry-tunnel"],
    "x-forwarded-for": [...(headers["x-forwarded-for"] ?? []), from],
    "x-forwarded-host": host,
    "x-forwarded-proto": ["http"],
  };
}

/** Waits for the head of the answer: until the body was sent, and then as long as an answer may take. */
async function headOf(stream: string, sent: Promise<void>, signal: AbortSignal) {
  let deadline = Number.POSITIVE_INFINITY;
  quiet(sent.then(() => (deadline = performance.now() + timeoutMs)));
  do {
    const { head } = await ask("head", { stream, waitMs }, signal);
    if (head) return head;
  } while (performance.now() < deadline);
  throw new Failure(504, "no answer in time");
}

/** Pulls the answer as fast as the caller takes it. */
async function download(stream: string, response: ServerResponse, sent: Promise<void>, signal: AbortSignal) {
  const { status, headers } = await headOf(stream, sent, signal);
  response.writeHead(status, headers);
  const reads: Promise<Calls["read"]["answer"]>[] = [];
  let seq = 0;
  // Small answers take one read; the window opens while chunks come, and closes where the local server is slow.
  for (let window = 1; ; ) {
    while (reads.length < window) reads.push(quiet(ask("read", { stream, seq: seq++, waitMs }, signal)));
    const { chunk, end } = (await reads.shift()) ?? {};
    if (end) break;
    window = chunk ? Math.min(window + 1, maxWindow) : 1;
    if (chunk && !response.write(chunk, "base64")) await once(response, "drain", { signal });
  }
  response.end();
  await once(response, "finish", { signal });
}

/** Brings the caller's body as fast as the local server takes it. */
async function upload(stream: string, request: IncomingMessage, signal: AbortSignal): Promise<void> {
  let seq = 0;
  const send = async (chunk: Buffer, end: boolean) => {
    const write = { stream, seq: seq++, chunk: chunk.toString("base64"), end };
    let { full } = await inLimit(() => ask("write", write, signal));
    while (full && !end) ({ full } = await ask("drain", { stream, waitMs }, signal));
  };
  const writes: Promise<void>[] = [];
  try {
    for await (const chunk of chunksOf(request)) {
      writes.push(quiet(send(chunk, false)));
      if (writes.length >= maxWindow) await writes.shift();
    }
    await Promise.all([...writes, send(Buffer.alloc(0), true)]);
  } finally {
    // What nobody wants of the body would stand in the way of the connection's next request.
    request.resume();
  }
}

let writing = 0;
const waiting: (() => void)[] = [];

/** Runs a call when there is room for its chunk; whoever waits goes in order. */
async function inLimit<T>(call: () => Promise<T>): Promise<T> {
  if (writing >= maxWrites) await new Promise<void>((resolve) => waiting.push(resolve));
  else writing++;
  try {
    return await call();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else writing--;
  }
}

/** A promise that may fail while nobody looks: whoever awaits it is told later, if that matters then. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

const server = createServer(async (request, response) => {
  try {
    await carry(request, response);
  } catch (error) {
    // The caller of a body that broke off must not take it for the whole.
    if (response.headersSent) return void response.destroy();
    const { status = 502, message } = error as Partial<Failure>;
    response.writeHead(status, { "content-type": "text/plain" }).end(`${message}\n`);
  }
});

server.listen(Number(process.env["PORT"] ?? 8000), process.env["HOST"] ?? "127.0.0.1");
await once(server, "listening");
export const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
console.log(`The gateway is listening on ${url}`);
