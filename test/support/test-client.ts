import { once } from "node:events";
import { onTestFinished } from "vitest";
import { type ClientOptions, WebSocket } from "ws";

/** A frame as it came in. */
export type Frame = Record<string, unknown> & { type: string };

/** How long a test waits for something that should come, in ms. */
const patienceMs = 5000;

/** A WebSocket client that keeps what it receives in a queue, so that a test misses nothing. */
export class TestClient {
  readonly ws: WebSocket;
  /** Resolves with how the connection ended. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Everything that came in and was not taken yet; raw text, so that tests can look at bytes. */
  readonly queue: string[] = [];
  readonly #waiting: (() => void)[] = [];

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on("message", (data) => {
      this.queue.push(String(data));
      for (const wake of this.#waiting.splice(0)) wake();
    });
    ws.on("error", () => {});
    this.closed = new Promise((resolve) => {
      ws.on("close", (code, reason) => {
        resolve({ code, reason: String(reason) });
        for (const wake of this.#waiting.splice(0)) wake();
      });
    });
    onTestFinished(() => ws.terminate());
  }

  /** Connects, over TLS when `ca` is given, and waits until the socket is open. */
  static async open(port: number, protocols: string | string[] = [], options: ClientOptions & { path?: string } = {}) {
    const scheme = options.ca ? "wss" : "ws";
    const url = `${scheme}://127.0.0.1:${port}${options.path ?? "/ws"}`;
    const client = new TestClient(new WebSocket(url, protocols, options));
    await once(client.ws, "open");
    return client;
  }

  /** Connects, waits for the welcome frame and takes it. */
  static async welcomed(
    port: number,
    protocols: string | string[] = [],
    options: ClientOptions & { path?: string } = {},
  ) {
    const client = await TestClient.open(port, protocols, options);
    const welcome = await client.next();
    if (welcome.type !== "welcome") throw new Error(`the first frame is ${JSON.stringify(welcome)}`);
    return Object.assign(client, { welcome });
  }

  /** Takes the next frame as text. */
  async nextText(waitMs = patienceMs): Promise<string> {
    const deadline = Date.now() + waitMs;
    while (this.queue.length === 0) {
      if (this.ws.readyState === WebSocket.CLOSED) throw new Error("closed while a frame was awaited");
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no frame within ${waitMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.queue.shift() ?? "";
  }

  /** Takes the next frame. */
  async next(waitMs = patienceMs): Promise<Frame> {
    return JSON.parse(await this.nextText(waitMs)) as Frame;
  }

  /** Takes the next frames. */
  async take(count: number): Promise<Frame[]> {
    const frames: Frame[] = [];
    while (frames.length < count) frames.push(await this.next());
    return frames;
  }

  send(frame: unknown): void {
    this.ws.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }
}

/**
 * Opens a connection that must be refused in plain HTTP.
 *
 * @returns the answer
 */
export async function refusedUpgrade(
  port: number,
  protocols: string | string[] = [],
  options: ClientOptions & { path?: string } = {},
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}${options.path ?? "/ws"}`, protocols, options);
  ws.on("error", () => {});
  onTestFinished(() => ws.terminate());
  const [, response] = (await once(ws, "unexpected-response")) as [unknown, import("node:http").IncomingMessage];
  let body = "";
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}
