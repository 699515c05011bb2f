import { type IncomingMessage, request } from "node:http";
import { onTestFinished } from "vitest";
import { EventReader } from "./event-reader.ts";
import { FrameQueue } from "./frame-queue.ts";

/** What a stream is asked for with. */
export interface StreamOptions {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answer to a request. */
export interface StreamAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** A client of the stream of events. */
export class SseClient extends FrameQueue {
  readonly port: number;
  readonly response: IncomingMessage;
  readonly reader: EventReader;
  /** The id of each message event, in order. */
  readonly ids: string[] = [];
  /** The last of them: what the client would resume from. */
  lastEventId = "";
  /** For its own frames. */
  #path = "";
  #secret = "";

  private constructor(port: number, response: IncomingMessage) {
    super();
    this.port = port;
    this.response = response;
    let ending = { code: 1006, reason: "" };
    this.reader = new EventReader(({ type, data, lastEventId }) => {
      if (type === "close") {
        ending = JSON.parse(data);
        return;
      }
      this.lastEventId = lastEventId;
      this.ids.push(lastEventId);
      this.received(data);
    });
    response.on("data", (piece: Buffer) => this.reader.read(piece));
    response.on("error", () => {});
    response.on("close", () => this.ended(ending));
  }

  /**
   * Asks for a stream.
   *
   * @param flag user id or token; undefined: none
   * @returns the client, or the answer when it is refused
   */
  static async ask(port: number, flag: string | undefined, { path = "/sse", headers = {} }: StreamOptions = {}) {
    const authorization = flag === undefined ? {} : { authorization: `Bearer ${flag}` };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = request({ port, host: "127.0.0.1", path, headers: { ...authorization, ...headers } }, resolve);
    outgoing.on("error", reject).end();
    onTestFinished(() => void outgoing.destroy());
    const response = await promise;
    if (response.statusCode === 200) return new SseClient(port, response);
    let body = "";
    for await (const chunk of response) body += chunk;
    return { status: response.statusCode ?? 0, headers: response.headers, body };
  }

  /** Asks for a stream that is granted. */
  static async open(port: number, flag: string | undefined, options: StreamOptions = {}): Promise<SseClient> {
    const asked = await SseClient.ask(port, flag, options);
    if (asked instanceof SseClient) return asked;
    throw new Error(`refused with ${asked.status}: ${asked.body}`);
  }

  /** Asks for a stream that must be refused. */
  static async refused(port: number, flag: string | undefined, options: StreamOptions = {}): Promise<StreamAnswer> {
    const asked = await SseClient.ask(port, flag, options);
    if (asked instanceof SseClient) throw new Error("let in");
    return asked;
  }

  /** Connects, waits for the welcome frame and takes it. */
  static async welcomed(port: number, flag: string | undefined, options: StreamOptions = {}) {
    const client = await SseClient.open(port, flag, options);
    const welcome = await client.takeWelcome();
    client.#path = `/sse/${welcome["connection"]}`;
    client.#secret = String(welcome["secret"]);
    return Object.assign(client, { welcome });
  }

  get secret(): string {
    return this.#secret;
  }

  /** Sends a frame and resolves with the answer to the request. */
  async post(
    frame: unknown,
    { port = this.port, path = this.#path, secret = this.#secret, headers = {} } = {},
  ): Promise<Response> {
    return fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${secret}`, "content-type": "application/json", ...headers },
      body: typeof frame === "string" ? frame : JSON.stringify(frame),
    });
  }

  async send(frame: unknown): Promise<void> {
    const { status } = await this.post(frame);
    if (status !== 202) throw new Error(`the frame was answered ${status}`);
  }

  leave(): void {
    this.response.destroy();
  }

  pause(): void {
    this.response.pause();
  }

  unpause(): void {
    this.response.resume();
  }
}
