import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import type { Idempotency } from "../broker/broker.ts";
import type { Right } from "../config-values.ts";

/** A request as a route's handler gets it: known to be allowed, parsed and valid. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Values of the path's parameters, decoded and 1 to 128 characters long. */
  readonly params: Readonly<Record<string, string>>;
  /** Values of the query parameters that the route knows, valid; of one given twice the last. */
  readonly query: Readonly<Record<string, string>>;
  /** Undefined where the route takes none. */
  readonly body: unknown;
  /** The text that `body` was read from. */
  readonly text: string;
  /** Aborted when the caller hangs up before it is answered; made when asked for. */
  readonly hungUp: () => AbortSignal;
  /** From the `Idempotency-Key` header, if there is one. */
  readonly idempotency?: Idempotency | undefined;
}

/** What a handler answers. */
export interface Answer {
  readonly status: number;
  /** A text together with `contentType` is written as it is, all else as JSON. */
  readonly body: unknown;
  /** Default: `application/json`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** One path and method of the HTTP interface: all that is needed to serve it and to describe it. */
export interface Route {
  readonly method: "get" | "post" | "put" | "delete" | "options";
  /** As express writes it: `/users/:id/messages`. */
  readonly path: string;
  /** One sentence for the API description. */
  readonly summary: string;
  /** Right that an API key needs; undefined: open to everyone. */
  readonly right?: Right;
  /** False: a GET route whose answer never ends by itself, so that HEAD is refused. Default: HEAD is answered as GET is. */
  readonly head?: false;
  /** Headers that let pages of an origin read the answer, refusals too. Default: none, so that only pages of our own can. */
  readonly cors?: (origin: string | undefined) => Readonly<Record<string, string>>;
  /** Query parameters, all of them texts. Default: none, and whatever is given is ignored. */
  readonly query?: z.ZodObject;
  /** For routes with a body. */
  readonly body?: {
    readonly schema: z.ZodType;
    readonly maxBytes: number;
    /**
     * Messages in the body, counted against the key's limit. Given: the handler publishes.
     */
    readonly countMessages?: (body: unknown) => number;
  };
  /** What a successful call answers. */
  readonly answer: { readonly status: number; readonly description: string; readonly schema?: z.ZodType };
  /** What it may answer instead, with another status. Default: nothing. */
  readonly otherAnswer?: Route["answer"];
  /** Problems that it may answer beside those that follow from the above: by status, when. */
  readonly problems?: Readonly<Record<number, string>>;
  /** Undefined: it has answered by itself. */
  readonly handle: (call: Call) => Promise<Answer | undefined> | Answer;
}
