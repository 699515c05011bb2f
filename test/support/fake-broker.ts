import type {
  Answers,
  AskOptions,
  Broker,
  BrokerHandler,
  HistoryPage,
  Message,
  Publication,
  Published,
} from "../../src/broker/broker.ts";
import { MemoryReminders } from "../../src/broker/memory-reminders.ts";
import { UserTopics } from "../../src/broker/user-topics.ts";
import { formatId, formatLiveId, type Position } from "../../src/protocol/positions.ts";
import { parseStreamKey, type Stream } from "../../src/protocol/streams.ts";

/** A stream as the fake broker holds it. */
interface FakeLog {
  epoch: string;
  offset: number;
  acked: number;
  entries: Message[];
}

type Operation = "subscribe" | "history" | "publish" | "acked";

/** Holds calls back. */
interface Gate {
  /** Calls from now on do not wait; those that do go on waiting. */
  open(): void;
  /** All calls go on. */
  release(): void;
  /** Those that wait fail, and later ones do not wait. */
  fail(error: Error): void;
}

/**
 * A broker made by hand: the test says what reaches the hub live, what only stands in history, which call waits and which
 * fails. Everything else happens at once.
 */
export class FakeBroker implements Broker {
  up = true;
  /** Pub/sub that loses everything: messages are stored only. */
  deaf = false;
  closed = false;
  /** Keys of streams that cannot be reached, while others can. */
  readonly unreachable = new Set<string>();
  /** Keys of the streams subscribed now. */
  readonly subscribed = new Set<string>();
  /** What was called, in order, such as `subscribe b u:alice` or `history b 3`. */
  readonly calls: string[] = [];
  /** The revocations. */
  readonly kept = new Set<string>();
  readonly topics = new UserTopics();
  readonly reminders = new MemoryReminders();
  handler: BrokerHandler | undefined;
  readonly #logs = new Map<string, FakeLog>();
  readonly #gates = new Map<Operation, PromiseWithResolvers<void>>();
  readonly #failures = new Map<Operation, Error>();

  start(handler: BrokerHandler): void {
    this.handler = handler;
    handler.onConnected();
  }

  /** Lets calls wait from now on; each works with what is true when it was called, and answers when released. */
  block(operation: Operation): Gate {
    const gate = Promise.withResolvers<void>();
    gate.promise.catch(() => {});
    this.#gates.set(operation, gate);
    const open = () => this.#gates.delete(operation);
    const release = () => {
      open();
      gate.resolve();
    };
    const fail = (error: Error) => {
      open();
      gate.reject(error);
    };
    return { open, release, fail };
  }

  /** Lets the next call fail; undefined: it will not. */
  failNext(operation: Operation, error: Error | undefined): void {
    if (error) this.#failures.set(operation, error);
    else this.#failures.delete(operation);
  }

  /** The messages retained behind an offset, to be handed over again. */
  retained(stream: Stream, after: number): Message[] {
    return this.#log(stream).entries.filter(({ position }) => (position?.offset ?? 0) > after);
  }

  /** Stores messages without handing them over. */
  store(stream: Stream, count = 1): Message[] {
    return Array.from({ length: count }, () => this.#store(stream, publication()));
  }

  /** Forgets the messages up to an offset. */
  trim(stream: Stream, upTo: number): void {
    const log = this.#log(stream);
    log.entries = log.entries.filter(({ position }) => (position?.offset ?? 0) > upTo);
  }

  /** Loses a stream's history: it begins anew in another epoch. */
  lose(stream: Stream, epoch: string): void {
    this.#logs.set(stream.key, { epoch, offset: 0, acked: 0, entries: [] });
  }

  async claim(): Promise<void> {}

  async publish(stream: Stream, given: Publication, here = 0): Promise<Published> {
    await this.#enter("publish", stream.key);
    const message = given.live ? liveMessage(stream, given) : this.#store(stream, given);
    const reaches = this.subscribed.has(stream.key) && !this.deaf;
    if (reaches) this.handler?.onMessage(message);
    return { id: message.id, receivers: here, replayed: false };
  }

  async subscribe(streams: readonly Stream[]): Promise<(Position | undefined)[]> {
    for (const { key } of streams) this.subscribed.add(key);
    const positions = streams.map((stream) => (this.unreachable.has(stream.key) ? undefined : this.position(stream)));
    try {
      await this.#enter("subscribe", streams.map(({ key }) => key).join(" "));
    } catch (error) {
      for (const { key } of streams) this.subscribed.delete(key);
      throw error;
    }
    return positions;
  }

  unsubscribe(stream: Stream): void {
    this.calls.push(`unsubscribe ${stream.key}`);
    this.subscribed.delete(stream.key);
  }

  async history(stream: Stream, after: number, limit: number): Promise<HistoryPage> {
    const { epoch, offset: last, entries } = this.#log(stream);
    const messages = this.retained(stream, after).slice(0, limit);
    const first = entries[0]?.position?.offset ?? last + 1;
    const reaches = messages.length === limit ? (messages.at(-1)?.position?.offset ?? last) : last;
    await this.#enter("history", `${stream.key} ${after}`);
    return { epoch, first, last, reaches, acked: this.#log(stream).acked, messages };
  }

  async streamOf(epoch: string): Promise<Stream | undefined> {
    for (const [key, log] of this.#logs) if (log.epoch === epoch) return parseStreamKey(key);
    return undefined;
  }

  async keepAcked(stream: Stream, { offset }: Position): Promise<void> {
    await this.#enter("acked", `${stream.key} ${offset}`);
    this.#log(stream).acked = offset;
  }

  async ask(stream: Stream, question: unknown, _options?: AskOptions): Promise<Answers> {
    if (!this.subscribed.has(stream.key)) return { answers: [], replicas: 0 };
    return { answers: [await this.handler?.onQuestion(stream, question)], replicas: 1 };
  }

  async countPublishes(): Promise<number> {
    return 0;
  }

  async addRevocation(text: string): Promise<void> {
    this.kept.add(text);
  }

  async revocations(): Promise<string[]> {
    return [...this.kept];
  }

  async addUserTopic(user: string, topic: string): Promise<void> {
    this.topics.add(user, topic, 100);
  }

  async removeUserTopic(user: string, topic: string): Promise<void> {
    this.topics.remove(user, topic);
  }

  async userTopics(user: string): Promise<string[]> {
    return this.topics.of(user);
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {
    this.closed = true;
  }

  /** Where a stream stands. */
  position(stream: Stream): Position {
    const { epoch, offset } = this.#log(stream);
    return { epoch, offset };
  }

  #store(stream: Stream, given: Publication): Message {
    const log = this.#log(stream);
    const position = { epoch: log.epoch, offset: ++log.offset };
    const { ts, expiresAtMs, collapse } = given;
    const id = formatId(stream.scope, position);
    const message = { stream, id, position, body: Buffer.from(given.body), ts, expiresAtMs, collapse };
    log.entries.push(message);
    return message;
  }

  #log(stream: Stream): FakeLog {
    const log = this.#logs.get(stream.key) ?? { epoch: "e1", offset: 0, acked: 0, entries: [] };
    this.#logs.set(stream.key, log);
    return log;
  }

  async #enter(operation: Operation, what: string): Promise<void> {
    this.calls.push(`${operation} ${what}`);
    const failure = this.#failures.get(operation);
    this.#failures.delete(operation);
    if (failure) throw failure;
    await this.#gates.get(operation)?.promise;
  }
}

/** A publication that says nothing in particular. */
export function publication(changes: Partial<Publication> = {}): Publication {
  return { body: '"data":1,"ts":1}', ts: 1, live: false, expiresAtMs: 0, collapse: undefined, ...changes };
}

/** A live-only message. */
export function liveMessage(stream: Stream, { body, ts } = publication()): Message {
  const id = formatLiveId("fake", 1);
  return { stream, id, position: undefined, body: Buffer.from(body), ts, expiresAtMs: 0, collapse: undefined };
}

/** Resolves when everything that waited for nothing but promises has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
