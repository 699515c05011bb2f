/** An HTTP answer as it came over the wire. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case; of a name that came twice, all values. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: Buffer;
}

/** What was read of the bytes that came back. */
export interface ReadAnswers {
  readonly answers: readonly HttpAnswer[];
  /** Bytes behind the last whole answer: the beginning of another, or frames where the last answer is a 101. */
  readonly rest: Buffer;
  /** What is not as HTTP has it; undefined: nothing. */
  readonly fault: string | undefined;
}

const headEnd = Buffer.from("\r\n\r\n");
const maxHeadBytes = 8192;

/**
 * Reads answers strictly, as RFC 9112 has them and as this service writes them: with a `Content-Length`, never chunked, but for
 * a stream of events, which is the last answer on its connection.
 *
 * @param mayBeHead whether some request may have been a HEAD, whose answer has a length and no body
 */
export function readAnswers(bytes: Buffer, mayBeHead: boolean): ReadAnswers {
  const answers: HttpAnswer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(headEnd, at);
    if (end === -1) return { answers, rest: bytes.subarray(at), fault: beginningFault(bytes.subarray(at)) };
    const head = readHead(bytes.toString("latin1", at, end));
    if (typeof head === "string") return { answers, rest: bytes.subarray(at), fault: head };
    const start = end + headEnd.length;
    if (isStream(head)) {
      answers.push({ ...head, body: bytes.subarray(start) });
      return { answers, rest: Buffer.alloc(0), fault: undefined };
    }
    const length = head.status < 200 ? 0 : Number(head.headers.get("content-length")?.[0]);
    const isHead = mayBeHead && (start === bytes.length || bytes.toString("latin1", start, start + 5) === "HTTP/");
    const bodyEnd = isHead ? start : start + length;
    if (bodyEnd > bytes.length) return { answers, rest: bytes.subarray(at), fault: undefined };
    answers.push({ ...head, body: bytes.subarray(start, bodyEnd) });
    at = bodyEnd;
    if (head.status === 101) break;
  }
  return { answers, rest: bytes.subarray(at), fault: undefined };
}

function isStream({ status, headers }: Pick<HttpAnswer, "status" | "headers">): boolean {
  return status === 200 && headers.get("content-type")?.[0] === "text/event-stream";
}

function readHead(text: string): Omit<HttpAnswer, "body"> | string {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const [, status] = /^HTTP\/1\.1 ([1-5]\d\d) [ -~]+$/.exec(statusLine) ?? [];
  if (status === undefined) return `no status line: ${JSON.stringify(statusLine.slice(0, 100))}`;
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const [, name = "", value = ""] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\t -~\x80-\xff]*)$/.exec(line) ?? [];
    if (name === "") return `no header field: ${JSON.stringify(line.slice(0, 100))}`;
    const key = name.toLowerCase();
    headers.set(key, [...(headers.get(key) ?? []), value]);
  }
  const lengths = headers.get("content-length") ?? [];
  const isFinal = Number(status) >= 200 && !isStream({ status: Number(status), headers });
  if (isFinal && !(lengths.length === 1 && /^\d{1,9}$/.test(lengths[0] ?? ""))) return "not one Content-Length";
  if (!isFinal && lengths.length > 0) return `a Content-Length where there is none: ${status}`;
  return { status: Number(status), headers };
}

/** Whether bytes that are no whole head can become one. */
function beginningFault(bytes: Buffer): string | undefined {
  const expected = "HTTP/1.1 ";
  const begun = bytes.toString("latin1", 0, expected.length);
  if (expected.startsWith(begun) && bytes.length <= maxHeadBytes) return undefined;
  return `no HTTP: ${JSON.stringify(bytes.toString("latin1", 0, 100))}`;
}
