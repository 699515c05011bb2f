import { formatId, formatLiveId, newEpoch, type Position } from "../protocol/positions.ts";
import { parseStreamKey, type Stream, userStream } from "../protocol/streams.ts";
import {
  type BrokerOptions,
  type HistoryPage,
  type Idempotency,
  idempotencyConflict,
  type KnownPosition,
  type Message,
  maxRevocations,
  type Publication,
  type Published,
  type Standing,
  tooManyRevocations,
} from "./broker.ts";
import { PublishLimit } from "./publish-limit.ts";
import { type RedisClient, redisUnavailable } from "./redis-client.ts";
import { RedisEpochs } from "./redis-epochs.ts";
import type { RedisNode } from "./redis-node.ts";
import type { RedisNodes } from "./redis-nodes.ts";
import { decodeRecord, encodeRecord, readable } from "./redis-wire.ts";
import { tooManyTopics } from "./user-topics.ts";

/** Settings of {@link RedisStore}. */
export interface RedisStoreOptions extends BrokerOptions {
  /** What every key and channel begins with. */
  readonly redisPrefix: string;
}

/** How long a stream's epoch and offset live after their last use at least, in ms: 30 days. */
const minMetaTtlMs = 30 * 86400 * 1000;

const empty = Buffer.alloc(0);

/** What is kept in Redis of each stream, and the scripts that work on it. The caller finds the node that serves the stream. */
export class RedisStore {
  readonly #options: RedisStoreOptions;
  /** Never shorter than what stands on it: messages and idempotency keys. */
  readonly #metaTtlMs: number;
  /** Source of the ids of live-only messages. */
  readonly #source = newEpoch();
  #liveCount = 0;
  /** By the server that they count in. */
  readonly #limits = new WeakMap<RedisClient, PublishLimit>();

  readonly #epochs: RedisEpochs;

  /** @param nodes where the epochs are kept, each on the node that serves it */
  constructor(options: RedisStoreOptions, nodes: RedisNodes) {
    this.#options = options;
    const { historyTtlSeconds, idempotencyTtlSeconds } = options;
    this.#metaTtlMs = Math.max(minMetaTtlMs, 1000 * historyTtlSeconds, 1000 * idempotencyTtlSeconds);
    this.#epochs = new RedisEpochs(options.redisPrefix, this.#metaTtlMs, nodes);
  }

  /** The channel of a stream; what its keys begin with too. The braces keep them all on one node of a cluster. */
  channelOf(stream: Stream): string {
    return `${this.#options.redisPrefix}:{${stream.key}}`;
  }

  /** The key of what a batch with an idempotency key says. */
  claimKeyOf({ key }: Idempotency): string {
    return `${this.#options.redisPrefix}:claim:${key}`;
  }

  /** See {@link Broker.publish}. With a writer the message is held back until enough replicas of Redis have it. */
  async publish(
    { commands, writer }: RedisNode,
    stream: Stream,
    publication: Publication,
    here?: number,
  ): Promise<Published> {
    const { live } = publication;
    const held = live ? undefined : writer;
    const publish = (client: RedisClient) => this.#publish(client, stream, publication, here, held !== undefined);
    const isNothing = ({ outcome }: { outcome: string }) => outcome === "replayed";
    const reply = await (held ? held.write(publish, isNothing) : publish(commands));
    const { outcome, source, number } = reply;
    // Awaited, so that whoever is told of the message finds it by its id.
    if (reply.isNewEpoch) await this.#epochs.keep(stream, source);
    // An idempotency key belongs to one kind of message: another would have another body, and so another fingerprint.
    const id = live ? formatLiveId(source, number) : formatId(stream.scope, { epoch: source, offset: number });
    const receivers =
      held && !isNothing(reply)
        ? await this.#release(held.client, stream, publication, { epoch: source, offset: number }, here)
        : reply.receivers;
    return { id, receivers, replayed: outcome !== "new" };
  }

  /** See {@link Broker.claim}. */
  async claim({ commands }: RedisNode, idempotency: Idempotency): Promise<void> {
    const { fingerprint } = idempotency;
    const ttlMs = this.#options.idempotencyTtlSeconds * 1000;
    const known = await commands.belfryClaim(this.claimKeyOf(idempotency), fingerprint, ttlMs);
    if (known !== fingerprint) throw idempotencyConflict();
  }

  /** The key of the revocations. */
  get revocationsKey(): string {
    return `${this.#options.redisPrefix}:revocations`;
  }

  /** See {@link Broker.addRevocation}. */
  async addRevocation({ commands }: RedisNode, text: string, expiresAtMs: number): Promise<void> {
    await commands.zremrangebyscore(this.revocationsKey, "-inf", Date.now());
    if ((await commands.zcard(this.revocationsKey)) >= maxRevocations) throw tooManyRevocations();
    await commands.zadd(this.revocationsKey, expiresAtMs, text);
  }

  /** See {@link Broker.revocations}. */
  async revocations({ commands }: RedisNode): Promise<string[]> {
    return commands.zrangebyscore(this.revocationsKey, `(${Date.now()}`, "+inf");
  }

  /** The key of the topics that a user is subscribed to; it begins like no other key. */
  userTopicsKeyOf(user: string): string {
    return `${this.#options.redisPrefix}:topics:{${userStream(user).key}}`;
  }

  /** See {@link Broker.addUserTopic}. With a writer it waits until enough replicas of Redis have it. */
  async addUserTopic({ commands, writer }: RedisNode, user: string, topic: string, max: number): Promise<void> {
    const add = (client: RedisClient) => client.belfryAddTopic(this.userTopicsKeyOf(user), topic, max);
    const isAdded = await (writer ? writer.write(add, (result) => result === 0) : add(commands));
    if (!isAdded) throw tooManyTopics(max);
  }

  /** See {@link Broker.removeUserTopic}. With a writer it waits until enough replicas of Redis have it. */
  async removeUserTopic({ commands, writer }: RedisNode, user: string, topic: string): Promise<void> {
    const remove = (client: RedisClient) => client.belfryRemoveTopic(this.userTopicsKeyOf(user), topic);
    await (writer ? writer.write(remove, () => false) : remove(commands));
  }

  /** See {@link Broker.userTopics}. */
  async userTopics({ commands }: RedisNode, user: string): Promise<string[]> {
    return commands.smembers(this.userTopicsKeyOf(user));
  }

  /** The key of what a publisher has sent; the publisher is named, never by its secret. */
  limitKeyOf(publisher: string): string {
    return `${this.#options.redisPrefix}:publishes:${publisher}`;
  }

  /** See {@link Broker.countPublishes}. */
  async countPublishes({ commands }: RedisNode, publisher: string, messages: number): Promise<number> {
    const { maxPublishesPerSecond } = this.#options;
    if (maxPublishesPerSecond === undefined) return 0;
    let limit = this.#limits.get(commands);
    if (!limit) {
      limit = PublishLimit.inRedis(maxPublishesPerSecond, commands);
      this.#limits.set(commands, limit);
    }
    return limit.count(this.limitKeyOf(publisher), messages);
  }

  /** Where a stream stands that this replica is subscribed to; `known` is where the caller has been. */
  async position({ commands }: RedisNode, stream: Stream, known: KnownPosition | undefined): Promise<Standing> {
    const [epoch, offset, ts, subscribers] = await commands.belfryPosition(
      ...this.#keys(stream),
      newEpoch(),
      this.#metaTtlMs,
      known?.epoch ?? "",
      known?.offset ?? 0,
      this.channelOf(stream),
      ...(known?.seen ?? []).flatMap((message) => [message.offset, message.ts]),
    );
    void this.#epochs.keep(stream, epoch);
    return { epoch, offset, seen: ts > 0 ? [{ offset, ts }] : [], isElsewhere: subscribers > 1 };
  }

  /**
   * See {@link Broker.history}.
   *
   * @param onMalformed told of each entry that cannot be read, and is passed over
   */
  async history(
    { commands }: RedisNode,
    stream: Stream,
    after: number,
    limit: number,
    onMalformed: () => void,
  ): Promise<HistoryPage> {
    const newest = newEpoch();
    const reply = await commands.belfryHistoryBuffer(...this.#keys(stream), after + 1, limit, newest, this.#metaTtlMs);
    const [epochBytes, last, lost, entries, ackedBytes] = reply;
    const epoch = epochBytes.toString();
    if (epoch === newest) void this.#epochs.keep(stream, epoch);
    const now = Date.now();
    const oldest = now - this.#options.historyTtlSeconds * 1000;
    const decoded: Message[] = [];
    for (const [id, fields] of entries) {
      const message = readable(() => decodeRecord(stream, epoch, offsetOf(id), fields[1] ?? empty), onMalformed);
      if (message && (message.expiresAtMs === 0 || message.expiresAtMs > now)) decoded.push(message);
    }
    const messages = decoded.filter(({ ts }) => ts > oldest);
    // What is too old still stands in a log that goes on being written; it counts as lost all the same.
    const aged = decoded.findLast(({ ts }) => ts <= oldest)?.position?.offset ?? 0;
    const first = Math.max(lost, aged) + 1;
    const end = entries.length === limit ? entries.at(-1) : undefined;
    const reaches = end ? Number(offsetOf(end[0])) : last;
    const [ackedEpoch, acked] = ackedBytes.toString().split("-");
    return { epoch, first, last, reaches, acked: ackedEpoch === epoch ? Number(acked) : 0, messages };
  }

  /** See {@link Broker.keepAcked}. */
  async keepAcked({ commands }: RedisNode, stream: Stream, { epoch, offset }: Position): Promise<void> {
    const [meta] = this.#keys(stream);
    await commands.belfryAcked(meta, epoch, offset);
  }

  /** The key by which the stream of an epoch is found. */
  epochKeyOf(epoch: string): string {
    return this.#epochs.keyOf(epoch);
  }

  /** See {@link Broker.streamOf}. */
  async streamOf({ commands }: RedisNode, epoch: string): Promise<Stream | undefined> {
    return parseStreamKey((await commands.get(this.epochKeyOf(epoch))) ?? "");
  }

  async #publish(
    client: RedisClient,
    stream: Stream,
    publication: Publication,
    here: number | undefined,
    hold: boolean,
  ) {
    const { live, idempotency, collapse = "" } = publication;
    const { historySize, historyTtlSeconds, idempotencyTtlSeconds } = this.#options;
    const newest = newEpoch();
    const [outcome, source, number, receivers] = await client.belfryPublish(
      ...this.#publishKeys(stream, idempotency),
      this.channelOf(stream),
      newest,
      encodeRecord(publication),
      historySize,
      historyTtlSeconds * 1000,
      this.#metaTtlMs,
      ...countedHere(here),
      collapse,
      live ? this.#source : "",
      live ? ++this.#liveCount : 0,
      idempotency?.fingerprint ?? "",
      idempotencyTtlSeconds * 1000,
      hold ? 1 : 0,
    );
    if (outcome === "conflict") throw idempotencyConflict();
    if (outcome === "full") throw redisUnavailable("too many messages wait for replicas of Redis");
    return { outcome, source, number, receivers, isNewEpoch: source === newest };
  }

  async #release(
    client: RedisClient,
    stream: Stream,
    { idempotency }: Publication,
    { epoch, offset }: Position,
    here: number | undefined,
  ): Promise<number> {
    const { historySize, historyTtlSeconds } = this.#options;
    const receivers = await client.belfryRelease(
      ...this.#publishKeys(stream, idempotency),
      this.channelOf(stream),
      epoch,
      offset,
      historySize,
      historyTtlSeconds * 1000,
      ...countedHere(here),
    );
    if (receivers < 0) throw redisUnavailable("Redis lost the message in a failover");
    return receivers;
  }

  #publishKeys(stream: Stream, idempotency: Idempotency | undefined): [string, string, string, string] {
    const channel = this.channelOf(stream);
    // Begins like no other key, since the publisher chooses its end.
    const once = `${this.#options.redisPrefix}:once:{${stream.key}}:${idempotency?.key ?? ""}`;
    return [...this.#keys(stream), `${channel}:collapse`, once];
  }

  #keys(stream: Stream): [meta: string, log: string] {
    const channel = this.channelOf(stream);
    return [`${channel}:meta`, `${channel}:log`];
  }
}

/** Connections of this replica that listen to a stream, and whether it is subscribed, as the scripts want them. */
function countedHere(here: number | undefined): [connections: number, isSubscribed: 0 | 1] {
  return here === undefined ? [0, 0] : [here, 1];
}

/** The offset in the id of a Redis stream entry, `OFFSET-0`. */
function offsetOf(id: Buffer): string {
  return id.toString("latin1", 0, id.indexOf("-"));
}
