/** The service did not do what a frame asked for. */
export class BelfryClientError extends Error {
  override readonly name = "BelfryClientError";
  /** Of the service: `forbidden`, `too_many`, `failed`, `unsupported`, … or of this client: `closed`, `too_slow`. */
  readonly code: string;

  constructor(code: string, detail: string) {
    super(detail);
    this.code = code;
  }
}
