/**
 * Every way in which Belfry refuses something: its stable code, the HTTP status it becomes, its short title, and the
 * level it is logged at (`debug` for what a caller did wrong, `error` for what we did; the loss of Redis is logged where it is noticed, once).
 */
const kinds = {
  malformed: { status: 400, title: "Malformed request", level: "debug" },
  unauthorized: { status: 401, title: "Not authenticated", level: "debug" },
  forbidden: { status: 403, title: "Not allowed", level: "debug" },
  not_found: { status: 404, title: "Not found", level: "debug" },
  method_not_allowed: { status: 405, title: "Method not allowed", level: "debug" },
  timeout: { status: 408, title: "Request too slow", level: "debug" },
  too_large: { status: 413, title: "Too large", level: "debug" },
  uri_too_long: { status: 414, title: "Request target too long", level: "debug" },
  unsupported_media_type: { status: 415, title: "Unsupported media type", level: "debug" },
  expectation_failed: { status: 417, title: "Expectation failed", level: "debug" },
  invalid: { status: 422, title: "Invalid request", level: "debug" },
  upgrade_required: { status: 426, title: "Upgrade required", level: "debug" },
  too_many: { status: 429, title: "Too many requests", level: "debug" },
  headers_too_large: { status: 431, title: "Header fields too large", level: "debug" },
  internal: { status: 500, title: "Internal error", level: "error" },
  unavailable: { status: 503, title: "Temporarily unavailable", level: "debug" },
  no_reply: { status: 504, title: "No reply", level: "debug" },
} as const;

/** Stable name of a kind of error; part of the public API. */
export type ErrorCode = keyof typeof kinds;

/** One thing that is wrong with an input. */
export interface InvalidInput {
  /** Where: member names and array indexes joined by dots; empty for the input as a whole. */
  readonly path: string;
  readonly message: string;
}

/** What an error may carry besides its code and sentence. */
export interface BelfryErrorOptions {
  /** For `invalid`: each thing that is wrong. */
  readonly errors?: readonly InvalidInput[];
  /** For `too_many` and `unavailable`: seconds after which trying again makes sense; 1 or more. */
  readonly retryAfterSeconds?: number;
  /** For `method_not_allowed`: the methods that are. */
  readonly allow?: readonly string[];
  readonly cause?: unknown;
}

/** Thrown for everything that Belfry refuses or fails at. Test it by `code`. */
export class BelfryError extends Error {
  override readonly name = "BelfryError";
  readonly code: ErrorCode;
  readonly errors: readonly InvalidInput[] | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly allow: readonly string[] | undefined;

  constructor(code: ErrorCode, detail: string, options: BelfryErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.allow = options.allow;
  }

  /** HTTP status that the error answers with. */
  get status(): number {
    return kinds[this.code].status;
  }

  /** Level the error is logged at. */
  get level(): "debug" | "error" {
    return kinds[this.code].level;
  }

  /** The error as the body of an RFC 9457 answer; holds nothing of the cause. */
  toProblem(): Problem {
    return {
      type: `urn:belfry:error:${this.code}`,
      title: kinds[this.code].title,
      status: this.status,
      detail: this.message,
      ...(this.errors && { errors: this.errors }),
    };
  }

  /** The HTTP headers that belong to the error. */
  toHeaders(): Record<string, string> {
    const headers: Record<string, string> = {};
    if (this.retryAfterSeconds !== undefined) headers["Retry-After"] = String(this.retryAfterSeconds);
    if (this.allow) headers["Allow"] = this.allow.join(", ");
    if (this.code === "unauthorized") headers["WWW-Authenticate"] = "Bearer";
    if (this.code === "upgrade_required") {
      // RFC 9110 section 15.5.22 and RFC 6455 section 4.4; after the refusal nothing else is said on the connection.
      Object.assign(headers, { Upgrade: "websocket", Connection: "Upgrade, close", "Sec-WebSocket-Version": "13" });
    }
    return headers;
  }
}

/** RFC 9457 problem details. */
export interface Problem {
  /** `urn:belfry:error:` and the error's code. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly InvalidInput[];
}

/** Any thrown value as a BelfryError; what is not one already becomes `internal` and says nothing of its cause. */
export function toBelfryError(error: unknown): BelfryError {
  if (error instanceof BelfryError) return error;
  return new BelfryError("internal", "something went wrong inside the service; its log says what", { cause: error });
}
