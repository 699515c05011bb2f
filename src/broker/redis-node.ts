import type { Log } from "../log.ts";
import type { PendingQuestions } from "./pending-questions.ts";
import { type RedisClient, ReplyError } from "./redis-client.ts";
import { type PublishCommand, publishScript } from "./redis-scripts.ts";
import { decodeAnswer, encodeAnswer, encodeQuestion, readable } from "./redis-wire.ts";
import { ReplicatedWriter } from "./replicated-writer.ts";

/** Settings of {@link RedisNode}. */
export interface RedisNodeOptions {
  /** Makes a connection to the node that is not connected yet. */
  readonly connect: (name: string) => RedisClient;
  readonly publishCommand: PublishCommand;
  /** A channel for this replica alone, served by this node: what answers come by. */
  readonly replyChannel: string;
  /** Replicas of the node that must have a write; 0: it does not wait for any. */
  readonly waitReplicas: number;
  /** True where each connection is led to a server of its own accord, and so may be led to another than the others. */
  readonly isLed: boolean;
  /** What the logs call the node; empty where there is just one. */
  readonly name: string;
  /** What this replica has asked: told of the answers that come in. */
  readonly questions: PendingQuestions;
  readonly log: Log;
  /** Told of what could not be read. */
  readonly onMalformed: () => void;
}

/** What a node reports. */
export interface RedisNodeHandler {
  /** The node became ready, without any subscription to streams, or is not any more. */
  onChange(): void;
  onMessage(channel: string, payload: Buffer): void;
  /** The node has ended a subscription, since it does not serve the channel any more. */
  onMoved(): void;
}

/** Pause between two looks at whether the subscriptions still bring anything, in ms. */
const probeIntervalMs = 3000;

/** Pause before connecting anew to a server that takes no writes, in ms. */
const againMs = 1000;

/** How long what the looks write stays, in ms. */
const probeTtlMs = 10_000;

/**
 * One Redis server that takes writes: its connections, one for commands and one for subscriptions (and one for publishes
 * where these wait for replicas), and the looks at whether they still work.
 */
export class RedisNode {
  readonly commands: RedisClient;
  /** Publishes and waits for replicas; undefined when it does not wait. */
  readonly writer: ReplicatedWriter | undefined;
  readonly #options: RedisNodeOptions;
  readonly #subscriber: RedisClient;
  #handler: RedisNodeHandler | undefined;
  #probe: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #probesMissed = 0;
  #generation = 0;
  /** What was logged last of the connections; undefined: nothing yet. */
  #ready: boolean | undefined;
  #closed = false;

  constructor(options: RedisNodeOptions) {
    const { connect, waitReplicas } = options;
    this.#options = options;
    this.commands = connect("belfry-commands");
    this.#subscriber = connect("belfry-subscriber");
    this.writer = waitReplicas > 0 ? new ReplicatedWriter(connect("belfry-writer"), waitReplicas) : undefined;
  }

  /** True while all connections are made and the node says that it can work. */
  get ready(): boolean {
    return this.#ready === true;
  }

  /** Changes whenever subscriptions may be gone: those of an earlier generation must be made again. */
  get generation(): number {
    return this.#generation;
  }

  get replyChannel(): string {
    return this.#options.replyChannel;
  }

  start(handler: RedisNodeHandler): void {
    this.#handler = handler;
    const onMessage = (channel: Buffer, payload: Buffer) => this.#receive(channel.toString(), payload);
    // In a cluster both come: what is published with SPUBLISH, and what `listen` listens to.
    for (const event of ["messageBuffer", "smessageBuffer"]) this.#subscriber.on(event, onMessage);
    this.#subscriber.on("moved", () => {
      this.#generation++;
      handler.onMoved();
    });
    for (const client of this.#clients) {
      client.on("ready", () => void this.#connected());
      client.on("close", () => this.#disconnected());
      client.on("error", (error: Error) => {
        this.#disconnected(error);
        // Redis said no to the password or to the database: with the latter it would go on in database 0.
        if (error instanceof ReplyError) client.disconnect(true);
      });
      client.connect().catch(() => {});
    }
    this.#probe = setInterval(() => void this.#probeSubscriber(), probeIntervalMs);
  }

  /** Subscribes to the channels of streams; every channel that is subscribed to already stays so. */
  async subscribe(channels: readonly string[]): Promise<void> {
    if (this.#isSharded) await Promise.all(channels.map((channel) => this.#subscriber.ssubscribe(channel)));
    else await this.#subscriber.subscribe(...channels);
  }

  /** Ends a subscription; never rejects. */
  unsubscribe(channel: string): void {
    // Without a connection there is no subscription to end either.
    const ended = this.#isSharded ? this.#subscriber.sunsubscribe(channel) : this.#subscriber.unsubscribe(channel);
    ended.catch(() => {});
  }

  /** Subscribes to a channel to which others publish with PUBLISH, in a cluster too. */
  async listen(channel: string): Promise<void> {
    await this.#subscriber.subscribe(channel);
  }

  /** Ends what {@link listen} began; never rejects. */
  unlisten(channel: string): void {
    this.#subscriber.unsubscribe(channel).catch(() => {});
  }

  /** Sends to a channel that this node serves, and says how many connections were subscribed to it. */
  publish(channel: string, payload: string): Promise<number> {
    const sent = this.#isSharded ? this.commands.spublish(channel, payload) : this.commands.publish(channel, payload);
    return sent as Promise<number>;
  }

  /** Asks all replicas subscribed to a channel that this node serves, and says how many they are. */
  ask(channel: string, request: string, question: unknown): Promise<number> {
    return this.publish(channel, encodeQuestion(request, this.#options.replyChannel, question));
  }

  /** Rejects when one of the connections does not answer. */
  async check(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.ping()));
  }

  close(): void {
    this.#closed = true;
    this.#ready = false;
    clearInterval(this.#probe);
    clearTimeout(this.#again);
    for (const client of this.#clients) client.disconnect();
  }

  get #isSharded(): boolean {
    return this.#options.publishCommand === "SPUBLISH";
  }

  get #clients(): RedisClient[] {
    return [this.commands, this.#subscriber, ...(this.writer ? [this.writer.client] : [])];
  }

  get #areConnected(): boolean {
    return this.#clients.every(({ status }) => status === "ready");
  }

  /** One of the connections became ready; when all are, the node can work. */
  async #connected(): Promise<void> {
    if (!this.#areConnected) return;
    // In the middle of a failover the sentinels may have named two masters.
    if (this.#options.isLed && new Set(this.#clients.map(peerOf)).size > 1) {
      this.#options.log.debug("the connections to Redis lead to different servers; connecting anew");
      this.#connectAnew();
      return;
    }
    try {
      await this.subscribe([this.#options.replyChannel]);
      // For backends that call it by its SHA-1, as docs/redis.md shows.
      await this.commands.script("LOAD", publishScript(this.#options.publishCommand));
      await this.#sendToSelf("").catch((error: unknown) => {
        if (!isPassing(error)) throw error;
      });
    } catch (error) {
      if (!this.#areConnected) return;
      this.#disconnected(error instanceof Error ? error : undefined);
      clearTimeout(this.#again);
      this.#again = setTimeout(() => this.#connectAnew(), againMs);
      return;
    }
    if (this.#closed || !this.#areConnected) return;
    this.#ready = true;
    this.#generation++;
    this.#options.log.info(this.#named, "Redis is reachable");
    this.#handler?.onChange();
  }

  /** Logged once, not with every try. */
  #disconnected(error?: Error): void {
    if (this.#ready === false || this.#closed) return;
    this.#ready = false;
    this.#options.log.warn({ err: error, ...this.#named }, "Redis cannot be reached; trying again");
    this.#handler?.onChange();
  }

  /**
   * A connection can be healthy and yet deaf: its peer has vanished without a word, or was demoted in a failover. So this
   * replica sends something to itself, the way that messages go; when nothing arrives twice in a row, it subscribes anew.
   */
  async #probeSubscriber(): Promise<void> {
    if (!this.ready) return;
    const { questions } = this.#options;
    const heard = await questions.ask((request) => this.#sendToSelf(request)).catch(() => undefined);
    // When it could not even be sent, the commands' connection is what is broken, and that shows by itself.
    this.#probesMissed = heard?.answers.length === 0 ? this.#probesMissed + 1 : 0;
    if (this.#probesMissed < 2 || !this.ready) return;
    this.#probesMissed = 0;
    this.#options.log.warn(this.#named, "the subscriptions in Redis bring nothing any more; subscribing anew");
    this.#connectAnew([this.#subscriber]);
  }

  /** Gives connections up at once, without waiting for a server that may hang; ioredis then connects again. */
  #connectAnew(clients = this.#clients): void {
    for (const { stream } of clients) stream.destroy();
  }

  /** Sends an answer to this replica, if the node may write. */
  #sendToSelf(request: string): Promise<number> {
    const { replyChannel } = this.#options;
    return this.commands.belfryProbe(replyChannel, replyChannel, encodeAnswer(request, null), probeTtlMs);
  }

  #receive(channel: string, payload: Buffer): void {
    if (channel !== this.#options.replyChannel) {
      this.#handler?.onMessage(channel, payload);
      return;
    }
    const reply = readable(() => decodeAnswer(payload), this.#options.onMalformed);
    if (reply) this.#options.questions.answered(reply.request, reply.answer);
  }

  get #named(): { node?: string } {
    return this.#options.name === "" ? {} : { node: this.#options.name };
  }
}

function peerOf({ stream }: RedisClient): string {
  const { remoteAddress, remotePort } = stream as { remoteAddress?: string; remotePort?: number };
  return `${remoteAddress} ${remotePort}`;
}

/** True when Redis takes no writes now, but is the right one: its memory or disk is full, or its replicas are away. */
function isPassing(error: unknown): boolean {
  return error instanceof ReplyError && /\b(OOM|MISCONF|NOREPLICAS)\b/.test((error as Error).message);
}
