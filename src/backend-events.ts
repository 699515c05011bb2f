import { setTimeout as pause } from "node:timers/promises";
import type { Broker, Message } from "./broker/broker.ts";
import { type Config, ConfigError } from "./config.ts";
import type { Connection } from "./hub/connection.ts";
import type { Hub } from "./hub/hub.ts";
import type { HubOptions } from "./hub/parts.ts";
import { Undelivered } from "./hub/undelivered.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { memberSpan } from "./protocol/raw-json.ts";
import { type Result, results } from "./webhooks/deliver.ts";
import { type EventType, eventTypes } from "./webhooks/lane.ts";
import { Webhooks } from "./webhooks/webhooks.ts";

/** A `message` frame, as far as the backend is told of it. */
interface SentMessage {
  readonly event?: string;
  /** The whole frame. */
  readonly text: string;
}

/** Tells the backend, by webhook, what happens in the hub. There is none without WEBHOOK_URL. */
export class BackendEvents {
  readonly #webhooks: Webhooks;
  readonly #undelivered: Undelivered;

  /**
   * @param replica name of this replica
   * @returns undefined when the backend is not to be told of anything
   * @throws ConfigError when there is a URL and no secret
   */
  static of(config: Config, broker: Broker, replica: string, metrics: Metrics, log: Log): BackendEvents | undefined {
    const { webhookUrl: url, webhookSecret: secret, webhookUndeliveredSeconds } = config;
    if (!url) return undefined;
    if (secret === undefined) throw new ConfigError(["webhookSecret: is unset, but webhookUrl is set"]);
    for (const type of eventTypes) for (const result of results) metrics.webhookEvents.inc({ type, result }, 0);
    const onSettled = (type: EventType, result: Result) => metrics.webhookEvents.inc({ type, result });
    const webhooks = new Webhooks({ url, secret, log, replica, onSettled });
    metrics.observeWebhooks(() => webhooks.waiting);
    return new BackendEvents(webhooks, broker, 1000 * webhookUndeliveredSeconds, log);
  }

  private constructor(webhooks: Webhooks, broker: Broker, undeliveredMs: number, log: Log) {
    this.#webhooks = webhooks;
    this.#undelivered = new Undelivered({
      broker,
      log,
      afterMs: undeliveredMs,
      hasRoom: () => webhooks.hasRoom,
      // One that was dropped is told of by another replica, or by this one later.
      onUndelivered: async (user, message) =>
        (await webhooks.undelivered(user, message.id, jsonOf(message))) !== "dropped",
      onLost: () => webhooks.lost("undelivered"),
    });
  }

  /** What the hub is to report. */
  get hubOptions(): Pick<HubOptions, "onNobody" | "onGiven"> {
    return {
      onNobody: (stream, id) => this.#undelivered.watch(stream, id),
      onGiven: (messages) => this.#undelivered.given(messages),
    };
  }

  /** Begins to tell. */
  start(hub: Hub): void {
    hub.on("connect", (client) => this.#webhooks.connected(client));
    this.#undelivered.start();
  }

  /** A connection was taken out of the hub. */
  disconnected({ id, user, transport }: Connection, cause: string): void {
    this.#webhooks.disconnected({ connection: id, user, transport }, cause);
  }

  /** A client sent a message; false when there is no room for it. */
  sent({ id, user, transport }: Connection, { event, text }: SentMessage): boolean {
    const [start, end] = memberSpan(text, "data") ?? [0, 0];
    return this.#webhooks.message({ connection: id, user, transport }, event, text.slice(start, end));
  }

  /** Tells what there is still to tell, and then nothing any more. */
  async close(graceMs: number): Promise<void> {
    this.#undelivered.close();
    await this.#webhooks.close(graceMs);
    // What the backend has taken is forgotten, or another replica would tell it again; but a broker that hangs keeps nobody.
    await Promise.race([this.#undelivered.settled(), pause(forgetMs, undefined, { ref: false })]);
  }
}

/** Longest time to forget, when all is told, in ms. */
const forgetMs = 100;

/** A message as its user would have been given it, without the frame around it. */
function jsonOf({ id, body }: Message): string {
  return `{"id":"${id}",${body.toString()}`;
}
