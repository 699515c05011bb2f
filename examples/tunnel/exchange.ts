import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type Calls, chunksOf, passedOn, requestTo } from "./wire.ts";

type Ask<E extends keyof Calls> = Calls[E]["ask"];
type Answer<E extends keyof Calls> = Promise<Calls[E]["answer"]>;

/** One HTTP request that the local server is sent piece by piece, and its answer, which is read piece by piece. */
export class Exchange {
  readonly #target: URL;
  readonly #open: Ask<"open">;
  readonly #reads = new Turns();
  readonly #writes = new Turns();
  #begun: { request: ClientRequest; response: Promise<IncomingMessage> } | undefined;
  #chunks: AsyncIterator<Buffer, undefined> | undefined;
  /** The read of the body that is under way; it outlives a call that was answered because it took too long. */
  #next: Promise<IteratorResult<Buffer, undefined>> | undefined;

  /** @param target the server; nothing of the request can lead to another one */
  constructor(target: URL, open: Ask<"open">) {
    this.#target = target;
    this.#open = open;
  }

  async head({ waitMs }: Ask<"head">): Answer<"head"> {
    const response = await within(waitMs, () => this.#begin().response);
    if (!response) return {};
    return { head: { status: response.statusCode ?? 502, headers: passedOn(response.headersDistinct) } };
  }

  async read({ seq, waitMs }: Ask<"read">): Answer<"read"> {
    // Waiting for its turn counts too, so that the last of several is answered in time.
    const deadline = performance.now() + waitMs;
    await this.#reads.turn(seq);
    try {
      this.#chunks ??= chunksOf(await this.#begin().response);
      const next = this.#next ?? this.#chunks.next();
      this.#next = next;
      const read = await within(deadline - performance.now(), () => next);
      if (!read) return {};
      this.#next = undefined;
      return read.value ? { chunk: read.value.toString("base64") } : { end: true };
    } finally {
      this.#reads.done();
    }
  }

  /** That the local server is not there, or has hung up, is said by its head or its body: there may be an answer. */
  async write({ seq, chunk, end }: Ask<"write">): Answer<"write"> {
    await this.#writes.turn(seq);
    try {
      const { request } = this.#begin();
      request.write(chunk, "base64");
      if (end) request.end();
      return { full: isFull(request) };
    } finally {
      this.#writes.done();
    }
  }

  async drain({ waitMs }: Ask<"drain">): Answer<"drain"> {
    const { request } = this.#begin();
    const change = (signal: AbortSignal) =>
      Promise.race([once(request, "drain", { signal }), once(request, "close", { signal })]);
    if (isFull(request)) await within(waitMs, change).catch(() => {});
    return { full: isFull(request) };
  }

  close(): void {
    this.#begun?.request.destroy();
  }

  #begin() {
    this.#begun ??= this.#send();
    return this.#begun;
  }

  #send() {
    const { method, path, headers, hasBody } = this.#open;
    const isChunked = hasBody && !headers["content-length"];
    const request = requestTo(this.#target, {
      method,
      path,
      headers: { ...headers, host: this.#target.host, ...(isChunked && { "transfer-encoding": "chunked" }) },
      // A connection that is used once is never found closed by a server that tired of it.
      agent: false,
    });
    const response = once(request, "response").then(([answer]) => answer as IncomingMessage);
    // Said to whoever asks for the head; until then it is no crash.
    response.catch(() => {});
    if (!hasBody) request.end();
    return { request, response };
  }
}

const isFull = (request: ClientRequest) => request.writableNeedDrain && !request.destroyed;

/** What something resolves with that is waited for; undefined when it takes longer. */
async function within<T>(ms: number, wait: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([wait(over.signal), delay(ms, undefined, over)]);
  } finally {
    over.abort();
  }
}

/** Puts calls in their order again. */
class Turns {
  #next = 0;
  readonly #waiting = new Map<number, () => void>();

  /** Resolves when all before this one are done. */
  async turn(seq: number): Promise<void> {
    if (seq !== this.#next) await new Promise<void>((resolve) => this.#waiting.set(seq, resolve));
  }

  done(): void {
    this.#next++;
    this.#waiting.get(this.#next)?.();
    this.#waiting.delete(this.#next);
  }
}
