import type { Broker } from "../broker/broker.ts";
import { BelfryError, type InvalidInput } from "../errors.ts";
import type { ClientFrame, ErrorFrame } from "../protocol/frames.ts";
import { type Stream, userStream } from "../protocol/streams.ts";
import { isName, nameExpected } from "../protocol/user-ids.ts";
import { AskedRequests, type RequestAnswer, type RequestQuestion } from "./asked-requests.ts";
import type { Connection } from "./connection.ts";
import { checkSize } from "./messages.ts";

/** What came of a request: `given_up` when the caller hung up, `failed` when it was refused or could not be sent. */
type RequestResult = "answered" | "offline" | "timeout" | "given_up" | "failed";

/** Settings of {@link Requests}. */
export interface RequestsOptions {
  readonly broker: Broker;
  /** Most bytes of a request's data. */
  readonly maxPayloadBytes: number;
  /** Told of each request. */
  readonly onRequest?: ((result: RequestResult) => void) | undefined;
}

/** What may be said about a request beside its data. */
export interface RequestOptions {
  /** Name of what is asked, for the receiving code: 1 to 128 characters. Default: none. */
  readonly event?: string | undefined;
  /** How long a reply is waited for, in ms: 1 to 100,000. Default: 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Gives the request up when it is aborted. Default: nobody does. */
  readonly signal?: AbortSignal | undefined;
}

/** The first reply to a request. */
export interface Reply<Data = unknown> {
  readonly data: Data;
  /** Id of the connection that replied. */
  readonly connection: string;
}

/** Longest time that a reply may take, in ms: HTTP callers are cut after two minutes without a byte. */
export const maxRequestTimeoutMs = 100_000;

const defaultTimeoutMs = 10_000;

/** To the replicas that were asked: the request is over. Nobody answers. */
interface RequestOver {
  readonly kind: "request_over";
  readonly id: string;
  /** The connection whose reply counts, if any does. */
  readonly winner?: string | undefined;
}

const nothing = Promise.resolve(undefined);

/**
 * Questions to a user that somebody waits for the answer to. A request goes to the replicas that hold the user, each puts it
 * to the user's connections, and the first reply of all ends it everywhere.
 */
export class Requests {
  readonly #options: RequestsOptions;
  readonly #connectionsTo: (stream: Stream) => Connection[];
  readonly #asked = new AskedRequests();

  /** @param connectionsTo the connections of this replica that listen to a stream */
  constructor(options: RequestsOptions, connectionsTo: (stream: Stream) => Connection[]) {
    this.#options = options;
    this.#connectionsTo = connectionsTo;
  }

  /** How many requests wait here, and how many connections were asked; nothing is left of those that are over. */
  get waiting(): { readonly requests: number; readonly connections: number } {
    return { requests: this.#asked.size, connections: this.#asked.connectionCount };
  }

  /**
   * Asks a user, on all connections wherever they are, and resolves with the first reply.
   *
   * @param json the data as JSON text; so is that of the reply
   * @throws BelfryError `invalid`, `too_large`; `not_found`: the user has no connection; `no_reply`: nobody
   *   replied in time, or all who were asked have gone; `unavailable`
   */
  async send(user: string, json: string, options: RequestOptions = {}): Promise<Reply<string>> {
    try {
      const reply = await this.#send(user, json, options);
      this.#options.onRequest?.("answered");
      return reply;
    } catch (error) {
      this.#options.onRequest?.(resultOf(error, options.signal));
      throw error;
    }
  }

  async #send(user: string, json: string, options: RequestOptions): Promise<Reply<string>> {
    const { broker, maxPayloadBytes } = this.#options;
    const { event, timeoutMs = defaultTimeoutMs, signal } = options;
    check(user, event, timeoutMs);
    checkSize(json, maxPayloadBytes);
    // Whoever knew the id could reply for another, so nobody can guess it.
    const id = crypto.randomUUID();
    const stream = userStream(user);
    const question: RequestQuestion = { kind: "request", id, event, json, timeoutMs };
    const heard = await broker.ask(stream, question, { timeoutMs, isLast: isReply, signal });
    const answers = heard.answers as readonly RequestAnswer[];
    const reply = answers.find(isReply);
    if (reply || answers.length < heard.replicas) this.#end(stream, id, reply?.connection);
    if (reply) return { data: reply.json, connection: reply.connection };
    throw failureOf(answers, heard.replicas, timeoutMs, signal);
  }

  /** Takes a client's `reply` frame; returns what to answer, if anything. */
  reply(connection: Connection, { id, json, ref }: Extract<ClientFrame, { type: "reply" }>): ErrorFrame | undefined {
    return this.#asked.reply(connection, id, json, ref);
  }

  /** Answers a replica's question, this one's own among them; undefined when the question is no request. */
  answer(stream: Stream, question: unknown): RequestAnswer | Promise<RequestAnswer | undefined> | undefined {
    const asked = question as RequestQuestion | RequestOver | null;
    if (asked?.kind === "request") return this.#asked.ask(asked, this.#connectionsTo(stream));
    if (asked?.kind !== "request_over") return undefined;
    this.#asked.over(asked.id, asked.winner);
    return nothing;
  }

  /** A connection has gone. */
  gone(connection: Connection): void {
    this.#asked.gone(connection);
  }

  close(): void {
    this.#asked.close();
  }

  /** Tells the replicas that were asked; where it cannot be said, the request ends there with its time. */
  #end(stream: Stream, id: string, winner: string | undefined): void {
    const over: RequestOver = { kind: "request_over", id, winner };
    this.#options.broker.ask(stream, over, { timeoutMs: 0 }).catch(() => {});
  }
}

function isReply(answer: unknown): answer is Extract<RequestAnswer, { kind: "reply" }> {
  return (answer as RequestAnswer | null)?.kind === "reply";
}

function check(user: string, event: string | undefined, timeoutMs: number): void {
  const errors: InvalidInput[] = [];
  if (!isName(user)) errors.push({ path: "user", message: nameExpected });
  if (event !== undefined && !isName(event)) errors.push({ path: "event", message: nameExpected });
  if (!(Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= maxRequestTimeoutMs)) {
    errors.push({ path: "timeoutMs", message: `expected ms from 1 to ${maxRequestTimeoutMs}` });
  }
  if (errors.length > 0) throw new BelfryError("invalid", "the request is not valid", { errors });
}

/** Why there is no reply. */
function failureOf(
  answers: readonly RequestAnswer[],
  replicas: number,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): BelfryError {
  if (signal?.aborted) return new BelfryError("no_reply", "the request was given up");
  if (answers.some(({ kind }) => kind === "full")) {
    return new BelfryError("unavailable", "too many requests wait for replies", { retryAfterSeconds: 1 });
  }
  if (answers.length < replicas) return new BelfryError("no_reply", `nobody replied within ${timeoutMs} ms`);
  const wasThere = answers.some(({ kind }) => kind === "gone");
  if (wasThere) return new BelfryError("no_reply", "every connection that was asked has gone");
  return new BelfryError("not_found", "the user has no connection");
}

function resultOf(error: unknown, signal: AbortSignal | undefined): RequestResult {
  if (signal?.aborted) return "given_up";
  const code = error instanceof BelfryError ? error.code : undefined;
  if (code === "not_found") return "offline";
  return code === "no_reply" ? "timeout" : "failed";
}
