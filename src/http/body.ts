import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { BelfryError } from "../errors.ts";

/** Bytes that a body may have beside its data. */
export const envelopeBytes = 4096;

/** The body of a request: the value, and the text it was read from. */
export interface JsonBody {
  readonly value: unknown;
  readonly text: string;
}

/**
 * Reads a JSON body.
 *
 * @param maxBytes most bytes to take; what a client sends beyond is read and thrown away, so that it hears the answer
 * @throws BelfryError `unsupported_media_type`, `too_large`, `malformed`
 */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<JsonBody> {
  checkContentType(request);
  const bytes = await readBytes(request, maxBytes);
  return parseJson(bytes, "the body");
}

/**
 * Reads JSON from bytes.
 *
 * @param what what errors call it
 * @throws BelfryError `malformed`
 */
export function parseJson(bytes: Buffer, what: string): JsonBody {
  if (!isUtf8(bytes)) throw new BelfryError("malformed", `${what} is not valid UTF-8`);
  const text = bytes.toString();
  try {
    return { value: JSON.parse(text), text };
  } catch (error) {
    throw new BelfryError("malformed", `${what} is not JSON: ${withoutQuote(error)}`);
  }
}

function checkContentType({ headers }: IncomingMessage): void {
  const [type = "", ...parameters] = (headers["content-type"] ?? "").toLowerCase().split(";");
  if (!/^application\/([a-z0-9.-]+\+)?json$/.test(type.trim())) {
    throw new BelfryError("unsupported_media_type", "send the body as Content-Type: application/json");
  }
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith("charset="));
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new BelfryError("unsupported_media_type", "send the body in UTF-8");
  }
  if ((headers["content-encoding"] ?? "identity").toLowerCase() !== "identity") {
    throw new BelfryError("unsupported_media_type", "send the body without Content-Encoding");
  }
}

/** Collects the body. Too much of it settles at once; the rest is thrown away by Node when the answer is out. */
function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const tooLarge = () => new BelfryError("too_large", `the body is larger than ${maxBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  request.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length <= maxBytes) {
      chunks.push(chunk);
      return;
    }
    chunks.length = 0;
    request.removeAllListeners("data").resume();
    reject(tooLarge());
  });
  request.on("end", () => resolve(Buffer.concat(chunks)));
  const brokeOff = () => {
    // Every request closes; an error costs more than all the rest here.
    if (!request.readableEnded) reject(new BelfryError("malformed", "the body broke off"));
  };
  request.on("error", brokeOff);
  request.on("close", brokeOff);
  return promise;
}

/** What V8 says is wrong, without the piece of the text that it quotes: message data does not belong into logs. */
function withoutQuote(error: unknown): string {
  const said = error instanceof Error ? error.message : "";
  if (/ JSON at position \d+|^Unexpected end/.test(said)) return said;
  return /^Unexpected token '.+?'(?=, )/su.exec(said)?.[0] ?? "it cannot be parsed";
}
