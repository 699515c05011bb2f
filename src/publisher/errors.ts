/** The service did not do what a call asked for, or could not be reached. */
export class BelfryPublishError extends Error {
  override readonly name = "BelfryPublishError";
  /** `invalid`, `unauthorized`, `forbidden`, `not_found`, `too_large`, `too_many`, `unavailable`, … or `unreachable`. */
  readonly code: string;
  /** HTTP status; undefined when no answer came. */
  readonly status: number | undefined;
  /** What is wrong with the input, and where. */
  readonly errors: readonly { readonly path: string; readonly message: string }[];

  /** When the service asks for a pause before the next try, in seconds. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: string,
    detail: string,
    { cause, ...details }: Partial<Pick<BelfryPublishError, "status" | "errors" | "retryAfterSeconds" | "cause">> = {},
  ) {
    super(detail, { cause });
    this.code = code;
    this.status = details.status;
    this.errors = details.errors ?? [];
    this.retryAfterSeconds = details.retryAfterSeconds;
  }

  /** Reads an answer that is no success: problem details (RFC 9457) where they come from the service itself. */
  static async of(response: Response): Promise<BelfryPublishError> {
    const { status, headers } = response;
    const problem = (await response.json().catch(() => null)) as { type?: string; detail?: string; errors?: [] } | null;
    const code = /^urn:belfry:error:(\w+)$/.exec(problem?.type ?? "")?.[1];
    const fallback = status === 429 ? "too_many" : status >= 500 ? "unavailable" : "refused";
    const retryAfterSeconds = Number(headers.get("retry-after")) || undefined;
    const { detail = `HTTP ${status}`, errors = [] } = problem ?? {};
    return new BelfryPublishError(code ?? fallback, detail, { status, errors, retryAfterSeconds });
  }
}
