/** Most bytes of one answer that are kept until the rest of it comes. */
const maxAnswerBytes = 4 * 1024 * 1024;

const headEnd = Buffer.from("\r\n\r\n");
const chunksEnd = Buffer.from("\r\n0\r\n\r\n");

/** Takes one answer: its status, and where its body stands in bytes that are overwritten soon. */
export type TakeAnswer = (status: number, bytes: Buffer, bodyFrom: number, bodyTo: number) => void;

/** Cuts what an HTTP/1.1 server sends on a connection into answers. */
export class AnswerReader {
  readonly #take: TakeAnswer;
  #rest: Buffer | undefined;

  constructor(take: TakeAnswer) {
    this.#take = take;
  }

  /**
   * Reads what has come.
   *
   * @param bytes valid during the call
   * @throws Error when it is no HTTP, or too much for one answer
   */
  read(bytes: Buffer): void {
    const all = this.#rest ? Buffer.concat([this.#rest, bytes]) : bytes;
    this.#rest = undefined;
    let at = 0;
    while (at < all.length) {
      const end = this.#readOne(all, at);
      if (end === undefined) break;
      at = end;
    }
    if (all.length - at > maxAnswerBytes) throw new Error(`the server's answer has more than ${maxAnswerBytes} bytes`);
    if (at < all.length) this.#rest = Buffer.from(all.subarray(at));
  }

  /** Reads one answer and returns where it ends; undefined when its end did not come yet. */
  #readOne(bytes: Buffer, at: number): number | undefined {
    const head = bytes.indexOf(headEnd, at);
    if (head === -1) return undefined;
    const text = bytes.toString("latin1", at, head);
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]);
    if (!status) throw new Error(`the server answered something that is not HTTP: ${text.slice(0, 80)}`);
    const from = head + headEnd.length;
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    if (length === undefined && /\r\ntransfer-encoding: *chunked/i.test(text)) {
      // An empty body is its last chunk alone, right behind the head's end.
      const last = bytes.indexOf(chunksEnd, head + 2);
      if (last === -1) return undefined;
      this.#take(status, bytes, from, last);
      return last + chunksEnd.length;
    }
    const to = from + Number(length ?? 0);
    if (to > bytes.length) return undefined;
    this.#take(status, bytes, from, to);
    return to;
  }
}
