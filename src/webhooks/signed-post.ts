import { createHmac } from "node:crypto";
import { parseWebhookSecrets } from "../config-values.ts";

/** What an HTTP request of {@link SignedPost} may take. */
export interface PostLimits {
  /** Time until the answer is there, whole, in ms. */
  readonly timeoutMs: number;
  /** Most bytes of the answer's body that are kept. Default: 64 KiB. */
  readonly maxAnswerBytes?: number;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}

/** What was answered. */
export interface PostAnswer {
  /** Redirects are not followed: 3xx is an answer as any other. */
  readonly status: number;
  /** What `Retry-After` asks for, in ms, 0 or more; undefined where there is none that can be read. */
  readonly retryAfterMs: number | undefined;
  /** The body; undefined when it is too large. */
  readonly text: string | undefined;
}

/** No answer came. The message is a word or two that say why, and hold nothing of the URL. */
export class PostError extends Error {
  override readonly name = "PostError";
}

/**
 * Posts JSON to the backend, signed so that it knows who sends it.
 *
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export class SignedPost {
  /** Whom it posts to, fit for logs: neither credentials nor path. */
  readonly host: string;
  readonly #url: URL;
  readonly #keys: readonly Buffer[];
  readonly #authorization: string | undefined;

  /**
   * @param url http or https; a user and a password in it are sent as basic credentials
   * @param secret `whsec_` and base64, see {@link parseWebhookSecrets}
   * @throws TypeError when the secret is none
   */
  constructor(url: URL, secret: string) {
    const keys = parseWebhookSecrets(secret);
    if (typeof keys === "string") throw new TypeError(`the webhook secret ${keys}`);
    this.#keys = keys;
    this.host = url.host;
    // fetch refuses a URL with credentials, and quotes it.
    this.#url = new URL(url);
    this.#url.username = "";
    this.#url.password = "";
    this.#authorization = authorizationOf(url);
  }

  /**
   * Sends one request.
   *
   * @param id the same when the same thing is sent again
   * @param body JSON
   * @throws PostError when no answer came
   */
  async send(id: string, body: string, limits: PostLimits): Promise<PostAnswer> {
    const { timeoutMs, maxAnswerBytes = 64 * 1024, signal } = limits;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: this.#headers(id, body),
        body,
        redirect: "manual",
        signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
      });
      const { status, headers } = response;
      const text = await textOf(response, maxAnswerBytes);
      return { status, retryAfterMs: retryAfterMsOf(headers.get("retry-after")), text };
    } catch (error) {
      throw new PostError(reasonOf(error));
    }
  }

  #headers(id: string, body: string): Record<string, string> {
    const timestamp = Math.floor(Date.now() / 1000);
    const signatures = this.#keys.map((key) => `v1,${signatureOf(key, `${id}.${timestamp}.${body}`)}`);
    return {
      "content-type": "application/json",
      "user-agent": "belfry",
      "webhook-id": id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": signatures.join(" "),
      ...(this.#authorization !== undefined && { authorization: this.#authorization }),
    };
  }
}

/** The basic credentials that a URL holds; undefined when it has none. A percent sign that means nothing stays as it is. */
function authorizationOf({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  const byteOf = (_: string, hex: string) => String.fromCharCode(Number.parseInt(hex, 16));
  const bytes = `${username}:${password}`.replace(/%([0-9a-f]{2})/gi, byteOf);
  return `Basic ${Buffer.from(bytes, "latin1").toString("base64")}`;
}

function signatureOf(key: Buffer, content: string): string {
  return createHmac("sha256", key).update(content).digest("base64");
}

/** The body, which is read so that the connection can be used again, unless it is too large. */
async function textOf(response: Response, maxBytes: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
  }
  return Buffer.concat(chunks).toString();
}

/** Reads `Retry-After`: seconds or a date (RFC 9110 section 10.2.3). */
function retryAfterMsOf(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function reasonOf(error: unknown): string {
  const { name, cause } = Object(error) as { name?: string; cause?: unknown };
  if (name === "TimeoutError") return "timeout";
  const { code } = Object(cause) as { code?: unknown };
  return typeof code === "string" ? code : "connection failed";
}
