/** One event of a stream, as a browser's EventSource would give it to a page. */
export interface StreamEvent {
  /** `message` unless the stream says otherwise. */
  readonly type: string;
  readonly data: string;
  /** The last id that the stream has given. */
  readonly lastEventId: string;
}

/**
 * Reads a text/event-stream to the letter of its specification, whatever the pieces that it comes in.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class EventReader {
  readonly comments: string[] = [];
  /** Suggested pause before the next connection, in ms. */
  retryMs: number | undefined;
  readonly #onEvent: (event: StreamEvent) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #data = "";
  #type = "";
  #lastEventId = "";

  constructor(onEvent: (event: StreamEvent) => void) {
    this.#onEvent = onEvent;
  }

  read(piece: Uint8Array): void {
    this.#rest += this.#decoder.decode(piece, { stream: true });
    // A carriage return at the end may be half of a line's end.
    for (let match = lineEnd.exec(this.#rest); match; match = lineEnd.exec(this.#rest)) {
      const line = this.#rest.slice(0, match.index);
      this.#rest = this.#rest.slice(match.index + match[0].length);
      this.#take(line);
    }
  }

  #take(line: string): void {
    if (line === "") this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) this.comments.push(line.slice(1).trim());
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data += `${value}\n`;
    if (field === "event") this.#type = value;
    if (field === "id" && !value.includes("\0")) this.#lastEventId = value;
    if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch(): void {
    const [data, type] = [this.#data, this.#type];
    this.#data = "";
    this.#type = "";
    if (data === "") return;
    this.#onEvent({ type: type || "message", data: data.slice(0, -1), lastEventId: this.#lastEventId });
  }
}

const lineEnd = /\r\n|\n|\r(?!$)/;
