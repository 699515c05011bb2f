import { Connector } from "./connector.ts";
import { Emitter } from "./emitter.ts";
import { BelfryClientError } from "./errors.ts";
import type { IncomingFrame, Message, OutgoingFrame } from "./frames.ts";
import { iterate } from "./messages.ts";
import type { ClientOptions, ClientState, StateChange } from "./options.ts";
import { onWake } from "./page.ts";
import { Positions } from "./positions.ts";
import { type Subscription, Topic } from "./subscription.ts";

/** A question of a backend that waits for the answer; the first device that replies answers it. */
export interface ClientRequest {
  readonly id: string;
  readonly event?: string;
  readonly data: unknown;
  /** Answers it; any JSON value. */
  reply(data: unknown): void;
}

/** What a client tells. */
export interface ClientEvents {
  /** Every message, whatever its scope; each once, in the order of its stream. */
  message: Message;
  /** A backend asks. */
  request: ClientRequest;
  /** The connection's state has changed. */
  state: StateChange;
  /** Messages of a stream may be missing: `broadcast`, `user`, or a topic's name behind `topic:`. Fetch what you show anew. */
  gap: string;
  /** The service did not do what a frame asked for, and nobody else is told. */
  error: BelfryClientError;
}

/** Settings of {@link BelfryClient}. */
export interface BelfryClientOptions extends ClientOptions {
  /** The same as `on("message", …)`. */
  readonly onMessage?: (message: Message) => void;
  /** The same as `on("state", …)`. */
  readonly onState?: (change: StateChange) => void;
}

/** Pause before a topic that could not be looked up is subscribed to again, in ms. */
const subscribeAgainMs = 2000;

/**
 * A client that stays connected: it comes back after every end as the service advises, resumes where it was, and hands over
 * each message once. It connects by itself when it is made.
 */
export class BelfryClient extends Emitter<ClientEvents> {
  readonly #connector: Connector;
  readonly #positions: Positions;
  /** Those that this client has asked for. */
  readonly #topics = new Map<string, Topic>();
  /** Those that the service has subscribed its user to. */
  readonly #userTopics = new Set<string>();
  /** Acks that could not be sent yet: the newest of each stream. */
  readonly #acks = new Map<string, string>();
  readonly #unlisten: () => void;

  /**
   * @param url of the service, such as `https://push.example.com`; relative ones begin at the page's address
   * @throws TypeError when it is no http, https, ws or wss URL
   */
  constructor(url: string | URL, options: BelfryClientOptions = {}) {
    super();
    const base = baseOf(url);
    const { user, onMessage, onState, storage } = options;
    if (onMessage) this.on("message", onMessage);
    if (onState) this.on("state", onState);
    this.#positions = new Positions(storage, `belfry ${base.href} ${user ?? ""}`);
    this.#connector = new Connector(base, options, {
      changed: (change) => this.emit("state", change),
      frame: (frame) => this.#take(frame),
      since: () => this.#since(),
    });
    this.#unlisten = onWake(() => this.#connector.wake());
    // Whoever made it has the rest of the turn to listen.
    queueMicrotask(() => this.#connector.connect());
  }

  get state(): ClientState {
    return this.#connector.state;
  }

  /** Subscribes to a topic, now and after every end; `listener` is handed its messages, as those of `message` are too. */
  subscribe(topic: string, listener: (message: Message) => void = () => {}): Subscription {
    const known = this.#topics.get(topic);
    const entry = known ?? new Topic();
    const own = (message: Message) => listener(message);
    entry.listeners.add(own);
    this.#topics.set(topic, entry);
    if (!known) this.#sendSubscribe(topic);
    const unsubscribe = () => {
      if (!entry.listeners.delete(own) || entry.listeners.size > 0 || this.#topics.get(topic) !== entry) return;
      this.#forget(topic);
      this.#connector.send({ type: "unsubscribe", topic });
    };
    return { topic, ready: entry.ready.promise, unsubscribe };
  }

  /**
   * The messages from now on, for `for await`, until the client is closed.
   *
   * @param topic subscribes to it and hands over its messages only; default: all messages
   */
  messages(topic?: string): AsyncGenerator<Message, void, undefined> {
    const listen = (listener: (message: Message) => void) =>
      topic === undefined ? this.on("message", listener) : this.subscribe(topic, listener).unsubscribe;
    const onEnd = (listener: () => void) => this.on("state", ({ state }) => state === "closed" && listener());
    return iterate(listen, onEnd);
  }

  /** Says that a message, and every earlier one of its stream, was handled; after a break it is said when connected again. */
  ack({ id, scope, topic }: Message): void {
    if (!this.#connector.send({ type: "ack", id })) this.#acks.set(streamOf(scope, topic), id);
  }

  /** Sends something to the service; false when not connected, and then it is not sent. */
  send(data: unknown, { event }: { event?: string } = {}): boolean {
    return this.#connector.send({ type: "message", event, data });
  }

  /** Connects at once instead of waiting for the next try. */
  reconnect(): void {
    this.#connector.wake();
  }

  /** Disconnects for good. */
  close(): void {
    this.#unlisten();
    this.#connector.close();
    for (const { ready } of this.#topics.values())
      ready.reject(new BelfryClientError("closed", "the client was closed"));
  }

  #since(): string[] {
    const ids = ["b", "u", ...[...this.#userTopics].map((topic) => `t:${topic}`)].map((key) =>
      this.#positions.get(key),
    );
    return ids.filter((id) => id !== undefined);
  }

  #take(frame: IncomingFrame): void {
    switch (frame.type) {
      case "message":
        this.#message(frame);
        break;
      case "welcome":
        this.#welcome(frame);
        break;
      case "subscribed":
        this.#subscribed(frame);
        break;
      case "unsubscribed":
        if (frame.ref === undefined) this.#left(frame.topic);
        break;
      case "request": {
        const { id, event, data } = frame;
        const reply = (answer: unknown) => void this.#connector.send({ type: "reply", id, data: answer });
        this.emit("request", { id, ...(event !== undefined && { event }), data, reply });
        break;
      }
      case "error":
        this.#failed(frame);
    }
  }

  #message({ type: _, ...message }: Extract<IncomingFrame, { type: "message" }>): void {
    const { id, scope, topic } = message;
    if (!this.#positions.advance(streamOf(scope, topic), id)) return;
    this.emit("message", message);
    if (topic !== undefined) for (const listener of [...(this.#topics.get(topic)?.listeners ?? [])]) listener(message);
  }

  #welcome({ positions, recovered }: Extract<IncomingFrame, { type: "welcome" }>): void {
    if (recovered.broadcast === false) this.emit("gap", "broadcast");
    if (recovered.user === false) this.emit("gap", "user");
    this.#positions.set("b", positions.broadcast);
    if (positions.user !== undefined) this.#positions.set("u", positions.user);
    for (const topic of this.#topics.keys()) this.#sendSubscribe(topic);
    for (const id of this.#acks.values()) this.#connector.send({ type: "ack", id });
    this.#acks.clear();
  }

  #subscribed({ topic, position, recovered, users, ref }: Extract<IncomingFrame, { type: "subscribed" }>): void {
    if (ref === undefined) this.#userTopics.add(topic);
    if (recovered === false) this.emit("gap", `topic:${topic}`);
    this.#positions.set(`t:${topic}`, position);
    this.#topics.get(topic)?.ready.resolve(users);
  }

  /** The service has ended a subscription. */
  #left(topic: string): void {
    this.#userTopics.delete(topic);
    if (this.#topics.has(topic)) this.#refused(topic, "forbidden", "the topic may not be subscribed to any more");
  }

  #failed({ code, detail, ref }: Extract<IncomingFrame, { type: "error" }>): void {
    const topic = typeof ref === "string" && ref.startsWith("t:") ? ref.slice(2) : undefined;
    if (topic === undefined) this.emit("error", new BelfryClientError(code, detail));
    else if (code !== "failed") this.#refused(topic, code, detail);
    else setTimeout(() => this.#topics.has(topic) && this.#sendSubscribe(topic), subscribeAgainMs);
  }

  #refused(topic: string, code: string, detail: string): void {
    const error = new BelfryClientError(code, `${topic}: ${detail}`);
    this.#topics.get(topic)?.ready.reject(error);
    this.#forget(topic);
    this.emit("error", error);
  }

  #forget(topic: string): void {
    this.#topics.delete(topic);
    if (!this.#userTopics.has(topic)) this.#positions.delete(`t:${topic}`);
  }

  #sendSubscribe(topic: string): void {
    const frame: OutgoingFrame = {
      type: "subscribe",
      topic,
      since: this.#positions.get(`t:${topic}`),
      ref: `t:${topic}`,
    };
    this.#connector.send(frame);
  }
}

/** The key of a stream's position. */
function streamOf(scope: string, topic = ""): string {
  return scope === "topic" ? `t:${topic}` : (scope[0] ?? "");
}

function baseOf(given: string | URL): URL {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  const url = new URL(given, page);
  url.protocol = url.protocol.replace("ws", "http");
  if (!/^https?:$/.test(url.protocol))
    throw new TypeError("the service's address must be an http, https, ws or wss URL");
  url.pathname = url.pathname.replace(/\/(ws|sse)?$/, "/").replace(/([^/])$/, "$1/");
  url.search = "";
  url.hash = "";
  return url;
}
