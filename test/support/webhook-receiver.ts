import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { onTestFinished } from "vitest";
import { hush } from "./secrets.ts";
import { until } from "./service.ts";

/** What the webhooks of the tests are signed with. */
export const webhookSecret = `whsec_${Buffer.from(hush("webhook secret of the tests")).toString("base64")}`;

/** An event as it came in. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
export type ReceivedEvent = Record<string, any> & { id: string; type: string };

/** A request of the webhooks. */
export interface ReceivedBatch {
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly events: ReceivedEvent[];
  /** When it came, by {@link performance.now}. */
  readonly atMs: number;
}

/** What a receiver says to a request, the first being number 0; undefined: 204 at once. */
type Answer = (response: ServerResponse, number: number) => void;

/** A backend that takes webhooks, and refuses what another implementation than ours finds wrongly signed. */
export class WebhookReceiver {
  /** Every request, answered well or not. */
  readonly batches: ReceivedBatch[] = [];
  answer: Answer | undefined;
  readonly #server: Server;
  readonly #webhook = new Webhook(webhookSecret);

  private constructor(answer: Answer | undefined) {
    this.answer = answer;
    this.#server = createServer(async (request, response) => {
      let text = "";
      for await (const chunk of request.setEncoding("utf8")) text += chunk;
      const { events } = (JSON.parse(text) as { data: { events: ReceivedEvent[] } }).data;
      this.#webhook.verify(text, request.headers as Record<string, string>);
      const { headers } = request;
      this.batches.push({ id: String(headers["webhook-id"]), headers, text, events, atMs: performance.now() });
      if (this.answer) this.answer(response, this.batches.length - 1);
      else response.writeHead(204).end();
    });
  }

  /** Begins to listen; ends with the test. */
  static async start(answer?: Answer, port = 0): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(answer);
    receiver.#server.listen(port, "127.0.0.1");
    await once(receiver.#server, "listening");
    onTestFinished(() => {
      receiver.#server.closeAllConnections();
      receiver.#server.close();
    });
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.port}/hooks`);
  }

  /** Every event, in the order in which they came; twice what came twice. */
  get events(): ReceivedEvent[] {
    return this.batches.flatMap(({ events }) => events);
  }

  /** The events of a type, when there are so many. */
  async awaited(type: string, count = 1, timeoutMs?: number): Promise<ReceivedEvent[]> {
    const found = () => this.events.filter((event) => event.type === type);
    await until(() => found().length >= count, timeoutMs);
    return found();
  }
}
