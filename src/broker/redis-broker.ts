import { BelfryError } from "../errors.ts";
import type { Log } from "../log.ts";
import { newEpoch, type Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import { parseRedisUrl, redisUrlForms } from "../redis-url.ts";
import type {
  Broker,
  BrokerHandler,
  HistoryPage,
  Idempotency,
  KnownPosition,
  Publication,
  Published,
} from "./broker.ts";
import { createRedisClient, publishCommandOf, ReplyError } from "./redis-client.ts";
import { RedisCluster } from "./redis-cluster.ts";
import { RedisNode, redisUnavailable } from "./redis-node.ts";
import { type RedisNodes, SingleRedis } from "./redis-nodes.ts";
import { RedisStore, type RedisStoreOptions } from "./redis-store.ts";
import { RedisSubscriptions } from "./redis-subscriptions.ts";
import { decodeWire, encodeAnswer } from "./redis-wire.ts";

/** Settings of {@link RedisBroker}. */
export interface RedisBrokerOptions extends RedisStoreOptions {
  /** See {@link parseRedisUrl}. */
  readonly redisUrl: string;
  /** Replicas of Redis that must have a message before it is delivered and acknowledged; 0: none. */
  readonly redisWaitReplicas: number;
  readonly log: Log;
  /** Told the duration of every operation. */
  readonly onOperation?: (operation: string, seconds: number) => void;
  /** Told of every message that could not be read. */
  readonly onMalformed?: () => void;
}

/** Operations under way at once; more are refused, so that a hanging Redis does not fill the memory. */
const maxPending = 10_000;

/** Channels in one SUBSCRIBE and positions in one pipeline. */
const subscribeBatch = 500;

/** Longest wait until it is known where a stream has moved in a cluster, in ms. */
const movedTimeoutMs = 500;

/**
 * The broker of many replicas on one Redis, or on a cluster: a channel per stream, so that a message costs only the replicas
 * that hold its recipients, and a Redis stream per stream for history.
 */
export class RedisBroker implements Broker {
  readonly #options: RedisBrokerOptions;
  readonly #nodes: RedisNodes;
  readonly #store: RedisStore;
  readonly #subscriptions: RedisSubscriptions;
  #handler: BrokerHandler | undefined;
  #up = false;
  #wasUp = false;
  #pending = 0;

  constructor(options: RedisBrokerOptions) {
    this.#options = options;
    this.#nodes = createNodes(options, () => this.#malformed());
    this.#store = new RedisStore(options);
    this.#subscriptions = new RedisSubscriptions(this.#nodes, this.#store);
  }

  get up(): boolean {
    return this.#up;
  }

  start(handler: BrokerHandler): void {
    this.#handler = handler;
    this.#nodes.start({
      onChange: () => this.#nodesChanged(),
      onMessage: (channel, payload) => this.#receive(channel, payload),
      onMoved: () => void this.#nodes.refresh(),
    });
  }

  async publish(stream: Stream, publication: Publication, here?: number): Promise<Published> {
    return this.#run("publish", this.#store.channelOf(stream), (node) =>
      this.#store.publish(node, stream, publication, here),
    );
  }

  async claim(idempotency: Idempotency): Promise<void> {
    await this.#run("claim", this.#store.claimKeyOf(idempotency), (node) => this.#store.claim(node, idempotency));
  }

  async subscribe(
    streams: readonly Stream[],
    known: readonly (KnownPosition | undefined)[] = [],
  ): Promise<(Position | undefined)[]> {
    const positions: (Position | undefined)[] = streams.map(() => undefined);
    const nodeOf = (stream: Stream) => this.#nodes.nodeOf(this.#store.channelOf(stream));
    const groups = Map.groupBy(streams.entries(), ([, stream]) => nodeOf(stream));
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
    return this.#run("history", this.#store.channelOf(stream), (node) =>
      this.#store.history(node, stream, after, limit, () => this.#malformed()),
    );
  }

  async ask(stream: Stream, question: unknown): Promise<unknown[]> {
    const channel = this.#store.channelOf(stream);
    return this.#run("ask", channel, (node) => node.ask(channel, question));
  }

  async check(): Promise<void> {
    const nodes = this.#nodes.all;
    await this.#run("check", this.#externalChannel, () => Promise.all(nodes.map((node) => node.check())));
    if (!this.#up) throw redisUnavailable("the subscriptions in Redis are not restored yet");
  }

  async close(): Promise<void> {
    this.#up = false;
    this.#handler = undefined;
    this.#nodes.close();
  }

  get #externalChannel(): string {
    return `${this.#options.redisPrefix}:publish`;
  }

  /** A node became ready, or is not any more, or serves something else. */
  #nodesChanged(): void {
    const nodes = this.#nodes.all;
    this.#up = nodes.length > 0 && nodes.every(({ ready }) => ready);
    const lost = this.#subscriptions.lost;
    if (this.#up && !this.#wasUp) this.#handler?.onConnected();
    else if (lost.length > 0) this.#handler?.onConnected(lost);
    this.#wasUp ||= this.#up;
    this.#subscriptions.listen(this.#externalChannel).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, "what backends publish in Redis cannot be listened to; trying again");
    });
  }

  async #subscribeBatch(
    streams: readonly Stream[],
    known: readonly (KnownPosition | undefined)[],
  ): Promise<Position[]> {
    const [first] = streams;
    if (!first) return [];
    return this.#run("subscribe", this.#store.channelOf(first), (node) =>
      this.#subscriptions.add(node, streams, known),
    );
  }

  #receive(channel: string, payload: Buffer): void {
    if (channel === this.#externalChannel) {
      this.#handler?.onExternalPublish(payload);
      return;
    }
    // A stream that was just left may still have a message on its way.
    const stream = this.#subscriptions.streamOf(channel);
    if (!stream) return;
    try {
      const wire = decodeWire(stream, payload);
      if (wire.kind === "message") this.#handler?.onMessage(wire.message);
      else this.#answer(stream, wire.request, wire.replyChannel, wire.question);
    } catch {
      this.#malformed();
    }
  }

  /** Something cannot be read and is passed over: it must not keep the others back. */
  #malformed(): void {
    // What is wrong stays out of the log: the reason may quote the message.
    this.#options.onMalformed?.();
    this.#options.log.warn("unreadable message from Redis");
  }

  #answer(stream: Stream, request: string, replyChannel: string, question: unknown): void {
    const answer = this.#handler?.onQuestion(stream, question);
    if (answer === undefined) {
      this.#options.log.warn("unknown question from another replica");
      return;
    }
    const send = async () => this.#nodes.nodeOf(replyChannel)?.publish(replyChannel, encodeAnswer(request, answer));
    send().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, "an answer could not be sent");
    });
  }

  /** Runs an operation on the node that serves a key: bounded in number, timed, its failures turned into `unavailable`. */
  async #run<T>(operation: string, key: string, work: (node: RedisNode) => Promise<T>): Promise<T> {
    if (this.#pending >= maxPending) throw redisUnavailable("too many operations wait for Redis");
    this.#pending++;
    const start = performance.now();
    try {
      return await this.#at(key, work);
    } catch (error) {
      if (error instanceof BelfryError) throw error;
      throw redisUnavailable(this.#up ? reasonOf(error) : "Redis cannot be reached", error);
    } finally {
      this.#pending--;
      this.#options.onOperation?.(operation, (performance.now() - start) / 1000);
    }
  }

  /** A node that says that the key has moved has not done the work, so another may. */
  async #at<T>(key: string, work: (node: RedisNode) => Promise<T>): Promise<T> {
    const node = this.#nodes.nodeOf(key);
    if (!node) throw redisUnavailable("Redis cannot be reached");
    try {
      return await work(node);
    } catch (error) {
      if (!(error instanceof ReplyError) || !(error as Error).message.startsWith("MOVED ")) throw error;
      const timeout = AbortSignal.timeout(movedTimeoutMs);
      await Promise.race([this.#nodes.refresh(), new Promise((resolve) => timeout.addEventListener("abort", resolve))]);
      const other = this.#nodes.nodeOf(key);
      if (!other || other === node) throw error;
      return work(other);
    }
  }
}

function createNodes(options: RedisBrokerOptions, onMalformed: () => void): RedisNodes {
  const { redisUrl, redisPrefix, redisWaitReplicas, log } = options;
  const target = parseRedisUrl(redisUrl);
  if (!target) throw new Error(`redisUrl ${redisUrlForms}`);
  const replyChannel = `${redisPrefix}:replica:${newEpoch()}`;
  const node = { publishCommand: publishCommandOf(target), waitReplicas: redisWaitReplicas, log, onMalformed };
  if (target.kind !== "cluster") {
    const connect = (name: string) => createRedisClient(target, name);
    return new SingleRedis(new RedisNode({ ...node, connect, replyChannel, name: "" }));
  }
  return new RedisCluster({
    seeds: target.hosts,
    replyChannel,
    connect: (name, host) => createRedisClient(target, name, host),
    createNode: (host, channel) => {
      const connect = (name: string) => createRedisClient(target, name, host);
      return new RedisNode({ ...node, connect, replyChannel: channel, name: `${host.host}:${host.port}` });
    },
    log,
  });
}

/** What an operation failed of, by the code that Redis puts first (OOM, READONLY, …); the rest may quote the command. */
function reasonOf(error: unknown): string {
  const code = error instanceof ReplyError ? /^[A-Z]+/.exec((error as Error).message)?.[0] : undefined;
  return code ? `Redis refused the operation (${code})` : "Redis did not answer";
}
