import type { Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import type {
  Answers,
  AskOptions,
  Broker,
  BrokerHandler,
  HistoryPage,
  Idempotency,
  KnownPosition,
  Publication,
  Published,
  Standing,
} from "./broker.ts";
import { PendingQuestions } from "./pending-questions.ts";
import { redisUnavailable } from "./redis-client.ts";
import type { RedisNode } from "./redis-node.ts";
import type { RedisNodes } from "./redis-nodes.ts";
import { RedisOperations } from "./redis-operations.ts";
import { RedisReminders } from "./redis-reminders.ts";
import { RedisStore, type RedisStoreOptions } from "./redis-store.ts";
import { RedisSubscriptions } from "./redis-subscriptions.ts";
import { createRedisNodes, type RedisTopologyOptions } from "./redis-topology.ts";
import { decodeWire, encodeAnswer, readable } from "./redis-wire.ts";

/** Settings of {@link RedisBroker}. */
export interface RedisBrokerOptions extends RedisStoreOptions, RedisTopologyOptions {
  /** Told the duration of every operation. */
  readonly onOperation?: (operation: string, seconds: number) => void;
  /** Told of every message that could not be read. */
  readonly onMalformed?: () => void;
}

/** Channels in one SUBSCRIBE and positions in one pipeline. */
const subscribeBatch = 500;

/** Pause before a failed attempt to listen to what backends publish is repeated, in ms. */
const listenRetryMs = 1000;

/**
 * The broker of many replicas on one Redis, or on a cluster: a channel per stream, so that a message costs only the replicas
 * that hold its recipients, and a Redis stream per stream for history.
 */
export class RedisBroker implements Broker {
  readonly reminders: RedisReminders;
  readonly #options: RedisBrokerOptions;
  readonly #nodes: RedisNodes;
  readonly #store: RedisStore;
  readonly #operations: RedisOperations;
  readonly #subscriptions: RedisSubscriptions;
  readonly #questions = new PendingQuestions();
  #handler: BrokerHandler | undefined;
  #up = false;
  #isStarted = false;
  #listening: NodeJS.Timeout | undefined;

  constructor(options: RedisBrokerOptions) {
    this.#options = options;
    this.#nodes = createRedisNodes(options, this.#questions, () => this.#malformed());
    this.#store = new RedisStore(options, this.#nodes);
    this.#subscriptions = new RedisSubscriptions(this.#nodes, this.#store);
    const { redisPrefix, historyTtlSeconds, onOperation } = options;
    this.#operations = new RedisOperations(this.#nodes, onOperation);
    this.reminders = new RedisReminders(`${redisPrefix}:reminders`, 1000 * historyTtlSeconds, this.#operations);
  }

  get up(): boolean {
    return this.#up;
  }

  start(handler: BrokerHandler): void {
    this.#handler = handler;
    this.#nodes.start({
      onChange: () => this.#nodesChanged(),
      onMessage: (channel, payload) => this.#receive(channel, payload),
      onMoved: () => void this.#nodes.refresh().then(() => this.#nodesChanged()),
    });
  }

  async publish(stream: Stream, publication: Publication, here?: number): Promise<Published> {
    return this.#operations.run("publish", this.#store.channelOf(stream), (node) =>
      this.#store.publish(node, stream, publication, here),
    );
  }

  async claim(idempotency: Idempotency): Promise<void> {
    await this.#operations.run("claim", this.#store.claimKeyOf(idempotency), (node) =>
      this.#store.claim(node, idempotency),
    );
  }

  async addRevocation(text: string, expiresAtMs: number): Promise<void> {
    const store = this.#store;
    await this.#operations.run("revoke", store.revocationsKey, (node) => store.addRevocation(node, text, expiresAtMs));
  }

  async countPublishes(publisher: string, messages: number): Promise<number> {
    const store = this.#store;
    return this.#operations.run("limit", store.limitKeyOf(publisher), (node) =>
      store.countPublishes(node, publisher, messages),
    );
  }

  async addUserTopic(user: string, topic: string, max: number): Promise<void> {
    const store = this.#store;
    await this.#operations.run("topics", store.userTopicsKeyOf(user), (node) =>
      store.addUserTopic(node, user, topic, max),
    );
  }

  async removeUserTopic(user: string, topic: string): Promise<void> {
    const store = this.#store;
    await this.#operations.run("topics", store.userTopicsKeyOf(user), (node) =>
      store.removeUserTopic(node, user, topic),
    );
  }

  async userTopics(user: string): Promise<string[]> {
    const store = this.#store;
    return this.#operations.run("topics", store.userTopicsKeyOf(user), (node) => store.userTopics(node, user));
  }

  async revocations(): Promise<string[]> {
    return this.#operations.run("revocations", this.#store.revocationsKey, (node) => this.#store.revocations(node));
  }

  async subscribe(
    streams: readonly Stream[],
    known: readonly (KnownPosition | undefined)[] = [],
  ): Promise<(Standing | undefined)[]> {
    const positions: (Standing | undefined)[] = streams.map(() => undefined);
    const groups = Map.groupBy(streams.entries(), ([, stream]) => this.#nodeOf(stream));
    const subscribing = [...groups.values()].map(async (group) => {
      for (let i = 0; i < group.length; i += subscribeBatch) {
        const batch = group.slice(i, i + subscribeBatch);
        const found = await this.#subscribeBatch(
          batch.map(([, stream]) => stream),
          batch.map(([index]) => known[index]),
        );
        for (const [n, [index]] of batch.entries()) positions[index] = found[n];
      }
    });
    const failed = (await Promise.allSettled(subscribing)).filter((result) => result.status === "rejected");
    if (failed[0] && failed.length === subscribing.length) throw failed[0].reason;
    return positions;
  }

  unsubscribe(stream: Stream): void {
    this.#subscriptions.remove(stream);
  }

  async history(stream: Stream, after: number, limit: number): Promise<HistoryPage> {
    return this.#operations.run("history", this.#store.channelOf(stream), (node) =>
      this.#store.history(node, stream, after, limit, () => this.#malformed()),
    );
  }

  async streamOf(epoch: string): Promise<Stream | undefined> {
    return this.#operations.run("find", this.#store.epochKeyOf(epoch), (node) => this.#store.streamOf(node, epoch));
  }

  async keepAcked(stream: Stream, position: Position): Promise<void> {
    const channel = this.#store.channelOf(stream);
    await this.#operations.run("acked", channel, (node) => this.#store.keepAcked(node, stream, position));
  }

  async ask(stream: Stream, question: unknown, options?: AskOptions): Promise<Answers> {
    const channel = this.#store.channelOf(stream);
    // Only the sending is an operation of Redis: answers may take as long as a client thinks.
    const send = (request: string) =>
      this.#operations.run("ask", channel, (node) => node.ask(channel, request, question));
    return this.#questions.ask(send, options);
  }

  async check(): Promise<void> {
    const nodes = this.#nodes.all;
    await this.#operations.run("check", this.#externalChannel, () => Promise.all(nodes.map((node) => node.check())));
    const isListening = this.#subscriptions.isListeningTo(this.#externalChannel);
    if (!this.#up || !isListening) throw redisUnavailable("the subscriptions in Redis are not restored yet");
  }

  async close(): Promise<void> {
    this.#up = false;
    this.#handler = undefined;
    clearTimeout(this.#listening);
    this.#nodes.close();
    this.#questions.close();
  }

  #nodeOf(stream: Stream): RedisNode | undefined {
    return this.#nodes.nodeOf(this.#store.channelOf(stream));
  }

  get #externalChannel(): string {
    return `${this.#options.redisPrefix}:publish`;
  }

  /** A node became ready, or is not any more, or serves something else. */
  #nodesChanged(): void {
    // A node may report what it did last after the end.
    if (!this.#handler) return;
    const nodes = this.#nodes.all;
    this.#up = nodes.length > 0 && nodes.every(({ ready }) => ready);
    const { lost } = this.#subscriptions;
    if (!this.#isStarted && nodes.some(({ ready }) => ready)) {
      this.#isStarted = true;
      this.#handler.onConnected();
    } else if (lost.length > 0) {
      this.#handler.onConnected(lost);
    }
    this.#listen();
  }

  #listen(): void {
    clearTimeout(this.#listening);
    this.#subscriptions.listen(this.#externalChannel).catch((error: unknown) => {
      if (!this.#handler) return;
      this.#options.log.warn({ err: error }, "what backends publish in Redis cannot be listened to; trying again");
      this.#listening = setTimeout(() => this.#listen(), listenRetryMs);
    });
  }

  async #subscribeBatch(
    streams: readonly Stream[],
    known: readonly (KnownPosition | undefined)[],
  ): Promise<Standing[]> {
    const [first] = streams;
    if (!first) return [];
    return this.#operations.run("subscribe", this.#store.channelOf(first), (node) => {
      // Where the first one has moved to, the others need not be.
      if (streams.some((stream) => this.#nodeOf(stream) !== node)) throw redisUnavailable("streams have moved");
      return this.#subscriptions.add(node, streams, known);
    });
  }

  #receive(channel: string, payload: Buffer): void {
    if (channel === this.#externalChannel) {
      this.#handler?.onExternalPublish(payload);
      return;
    }
    // A stream that was just left may still have a message on its way.
    const stream = this.#subscriptions.streamOf(channel);
    if (!stream) return;
    const wire = readable(
      () => decodeWire(stream, payload),
      () => this.#malformed(),
    );
    if (wire?.kind === "message") this.#handler?.onMessage(wire.message);
    else if (wire) void this.#answer(stream, wire.request, wire.replyChannel, wire.question);
  }

  /** Something cannot be read and is passed over. */
  #malformed(): void {
    // What is wrong stays out of the log: the reason may quote the message.
    this.#options.onMalformed?.();
    this.#options.log.warn("unreadable message from Redis");
  }

  async #answer(stream: Stream, request: string, replyChannel: string, question: unknown): Promise<void> {
    try {
      const answering = this.#handler?.onQuestion(stream, question);
      if (answering === undefined) this.#options.log.warn("unknown question from another replica");
      const answer = await answering;
      if (answer === undefined || !this.#handler) return;
      await this.#nodes.nodeOf(replyChannel)?.publish(replyChannel, encodeAnswer(request, answer));
    } catch (error) {
      this.#options.log.warn({ err: error }, "a question could not be answered");
    }
  }
}
