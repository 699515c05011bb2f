import { once } from "node:events";
import { onTestFinished } from "vitest";
import { type ClientOptions, WebSocket } from "ws";
import { FrameQueue } from "./frame-queue.ts";

export type { Frame } from "./frame-queue.ts";

/** A WebSocket client. */
export class TestClient extends FrameQueue {
  readonly ws: WebSocket;

  private constructor(ws: WebSocket) {
    super();
    this.ws = ws;
    ws.on("message", (data) => this.received(String(data)));
    ws.on("error", () => {});
    ws.on("close", (code, reason) => this.ended({ code, reason: String(reason) }));
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
    const welcome = await client.takeWelcome();
    return Object.assign(client, { welcome });
  }

  async send(frame: unknown): Promise<void> {
    this.ws.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  leave(): void {
    this.ws.close();
  }

  pause(): void {
    this.ws.pause();
  }

  unpause(): void {
    this.ws.resume();
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
