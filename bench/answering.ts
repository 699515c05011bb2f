import { once } from "node:events";
import { WebSocket } from "ws";
import type { Subject } from "./contestants.ts";

/** Clients that reply to every request: at once, or when they are let. */
export class Answering {
  readonly #clients: WebSocket[] = [];
  /** Replies that wait; undefined while they go out at once. */
  #held: (() => void)[] | undefined;

  private constructor() {}

  /** Connects them; rejects when that fails, and nothing is left open. */
  static async open(subject: Subject, count: number): Promise<Answering> {
    const answering = new Answering();
    try {
      for (let index = 0; index < count; index++) await answering.#connect(subject, index);
      return answering;
    } catch (error) {
      answering.close();
      throw error;
    }
  }

  /** Requests that came and are not replied to. */
  get held(): number {
    return this.#held?.length ?? 0;
  }

  /** From here on replies wait. */
  hold(): void {
    this.#held ??= [];
  }

  /** Sends the replies that wait, and others at once. */
  release(): void {
    for (const reply of this.#held ?? []) reply();
    this.#held = undefined;
  }

  /** Ends all connections. */
  close(): void {
    for (const client of this.#clients) client.terminate();
  }

  async #connect(subject: Subject, index: number): Promise<void> {
    const { endpoint, path, subprotocols } = subject.connection(index);
    const client = new WebSocket(`ws://${endpoint.host}${path}`, [...subprotocols], { perMessageDeflate: false });
    this.#clients.push(client);
    client.on("message", (data) => this.#take(client, String(data)));
    await once(client, "open");
    client.on("error", () => {});
  }

  #take(client: WebSocket, text: string): void {
    const frame = JSON.parse(text) as { readonly type: string; readonly id?: string };
    if (frame.type !== "request") return;
    const reply = () => client.send(`{"type":"reply","id":"${frame.id}","data":true}`);
    if (this.#held) this.#held.push(reply);
    else reply();
  }
}
