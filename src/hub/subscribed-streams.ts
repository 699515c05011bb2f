import type { Broker, KnownPosition, Message, SeenMessage } from "../broker/broker.ts";
import type { Log } from "../log.ts";
import type { Position } from "../protocol/positions.ts";
import type { Scope, Stream } from "../protocol/streams.ts";
import { Delivery } from "./delivery.ts";
import type { FanOut } from "./fan-out.ts";
import { countConnections, type SubscribedStream } from "./subscribed-stream.ts";

/** Messages read from history at once when a hole is filled. */
const fillPageSize = 200;

/** Messages of a stream that are remembered to recognize it by. */
const recentMessages = 5;

/** Pause before a failed catching-up is tried again, in ms. */
const retryMs = 500;

/** One for all streams of which nothing is remembered: nearly all. */
const none: readonly SeenMessage[] = [];

interface Callbacks {
  readonly createFanOut: () => FanOut;
  /** The history does not reach back to the members' position: they must be closed to resume. */
  readonly lost: (subscribed: SubscribedStream) => void;
  /** A stream was subscribed anew: what was said to its subscribers meanwhile has not come here. */
  readonly again?: (subscribed: SubscribedStream) => void;
  /** See {@link SubscribedStream.onGiven}; of users' streams. */
  readonly given?: ((messages: readonly Message[]) => void) | undefined;
  /** A live-only message is handed to connections. */
  readonly live?: (message: Message) => void;
}

/**
 * The streams that this replica is subscribed to, each with its position: subscribes with the first holder and leaves with
 * the last, and turns what the broker hands over into every message once and in order. Pub/sub is for speed and history
 * for truth: on any hole the missing messages are read from history before anything newer passes.
 */
export class SubscribedStreams {
  readonly #broker: Broker;
  readonly #log: Log;
  readonly #callbacks: Callbacks;
  readonly #streams = new Map<string, SubscribedStream>();
  /** Those that must be subscribed anew, or caught up, by the next try. */
  readonly #stale = new Set<SubscribedStream>();
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(broker: Broker, log: Log, callbacks: Callbacks) {
    this.#broker = broker;
    this.#log = log;
    this.#callbacks = callbacks;
  }

  get(stream: Stream): SubscribedStream | undefined {
    return this.#streams.get(stream.key);
  }

  /** Streams of a scope that have members. */
  count(scope: Scope): number {
    let count = 0;
    for (const subscribed of this.#streams.values()) {
      if (subscribed.stream.scope === scope && countConnections(subscribed) > 0) count++;
    }
    return count;
  }

  /** Holds a stream for good. It is subscribed by the next {@link resubscribe}. */
  keep(stream: Stream): void {
    this.#add(stream).holds++;
  }

  /**
   * Makes sure that the stream is subscribed and where it stands is known. Every hold must be released.
   *
   * @throws BelfryError `unavailable` when the broker cannot be reached; nothing is held then
   */
  async hold(stream: Stream): Promise<SubscribedStream> {
    const subscribed = this.#streams.get(stream.key) ?? this.#add(stream);
    subscribed.holds++;
    try {
      if (!subscribed.position) await this.#subscribeOnce(subscribed);
      return subscribed;
    } catch (error) {
      this.release(subscribed);
      // Another attempt was quicker and others rely on it, but this one's failure may have ended the subscription.
      if (subscribed.holds > 0) this.#tryAgain([subscribed], error);
      throw error;
    }
  }

  /**
   * Asks the broker again where a stream stands, because its history is in another epoch: no message may come for long that
   * would tell, and until then whoever resumes would be put where nobody is.
   *
   * @throws BelfryError `unavailable`
   */
  async refresh(subscribed: SubscribedStream): Promise<void> {
    try {
      await this.#subscribeOnce(subscribed);
    } catch (error) {
      this.#tryAgain([subscribed], error);
      throw error;
    }
  }

  /** Gives a hold back. */
  release(subscribed: SubscribedStream): void {
    if (--subscribed.holds > 0) return;
    this.#streams.delete(subscribed.stream.key);
    this.#stale.delete(subscribed);
    this.#broker.unsubscribe(subscribed.stream);
  }

  /**
   * Subscribes anew after the broker was reached for the first time or again, and catches up.
   *
   * @param streams default: all that are held
   */
  async resubscribe(streams?: readonly Stream[]): Promise<void> {
    const wanted = streams ? streams.flatMap(({ key }) => this.#streams.get(key) ?? []) : this.#streams.values();
    for (const subscribed of wanted) this.#stale.add(subscribed);
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const batch = [...this.#stale];
    this.#stale.clear();
    try {
      const failed = await this.#subscribe(batch);
      if (failed.length > 0) this.#tryAgain(failed);
    } catch (error) {
      this.#tryAgain(batch, error);
    }
  }

  /** Takes what the broker hands over. */
  accept(message: Message): void {
    const subscribed = this.#streams.get(message.stream.key);
    if (!subscribed) return;
    const { position } = message;
    if (!position) {
      this.#deliverLive(subscribed, message);
      return;
    }
    if (position.epoch !== subscribed.position?.epoch) {
      if (subscribed.position) this.#lose(subscribed, position);
      else subscribed.early = position;
      return;
    }
    if (position.offset <= subscribed.position.offset) return;
    subscribed.seen = Math.max(subscribed.seen, position.offset);
    if (subscribed.filling) return;
    // What finds no room is read from history when there is some.
    const isNext = position.offset === subscribed.position.offset + 1;
    if (isNext && !subscribed.fanOut.isFull) this.#advance(subscribed, message);
    else void this.#fill(subscribed);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
  }

  #add(stream: Stream): SubscribedStream {
    const subscribed: SubscribedStream = {
      stream,
      fanOut: this.#callbacks.createFanOut(),
      recovering: undefined,
      tail: undefined,
      position: undefined,
      recent: none,
      early: undefined,
      holds: 0,
      seen: 0,
      filling: false,
      isElsewhere: false,
      subscribing: undefined,
      onGiven: stream.scope === "user" ? this.#callbacks.given : undefined,
    };
    this.#streams.set(stream.key, subscribed);
    return subscribed;
  }

  /** Subscribes to one stream; those who come meanwhile wait for the same. */
  #subscribeOnce(subscribed: SubscribedStream): Promise<void> {
    subscribed.subscribing ??= this.#subscribe([subscribed])
      .then(() => {})
      .finally(() => {
        subscribed.subscribing = undefined;
      });
    return subscribed.subscribing;
  }

  /** @returns those that could not be subscribed */
  async #subscribe(batch: readonly SubscribedStream[]): Promise<SubscribedStream[]> {
    // What was seen live was there, also when it could not be handed on yet.
    const before = batch.map(
      ({ position, recent, seen }) =>
        position && { epoch: position.epoch, offset: Math.max(position.offset, seen), seen: recent },
    );
    const streams = batch.map(({ stream }) => stream);
    const positions = await this.#broker.subscribe(streams, before);
    for (const [index, subscribed] of batch.entries()) {
      const position = positions[index];
      if (position) {
        subscribed.isElsewhere ||= position.isElsewhere ?? false;
        this.#stands(subscribed, before[index], position);
        if (before[index]) this.#callbacks.again?.(subscribed);
      }
      // Released while it was on its way: the end of the subscription may have overtaken its beginning.
      if (!this.#streams.has(subscribed.stream.key)) this.#broker.unsubscribe(subscribed.stream);
    }
    return batch.filter((_, index) => !positions[index]);
  }

  /** The broker says where a stream stands; `before` is where the members stood when it was asked. */
  #stands(subscribed: SubscribedStream, before: Position | undefined, position: KnownPosition): void {
    const known = subscribed.position;
    if (!known) {
      const { early } = subscribed;
      const isAhead = early && early.epoch === position.epoch && early.offset > position.offset;
      subscribed.position = isAhead ? early : { epoch: position.epoch, offset: position.offset };
      subscribed.recent = position.seen ?? none;
    } else if (known.epoch !== position.epoch || (before && before.offset > position.offset)) {
      this.#lose(subscribed, position);
    } else if (position.offset > known.offset) {
      subscribed.seen = Math.max(subscribed.seen, position.offset);
      if (!subscribed.filling) void this.#fill(subscribed);
    }
  }

  #advance(subscribed: SubscribedStream, message: Message): void {
    subscribed.position = message.position;
    const offset = message.position?.offset ?? 0;
    subscribed.recent = [...subscribed.recent.slice(1 - recentMessages), { offset, ts: message.ts }];
    subscribed.tail?.push(message);
    subscribed.fanOut.push(message);
  }

  /** Live-only messages have no place among the others, so nobody's recovery needs to be waited for. */
  #deliverLive(subscribed: SubscribedStream, message: Message): void {
    const { fanOut, recovering } = subscribed;
    if (!fanOut.isFull) {
      if (countConnections(subscribed) > 0) this.#callbacks.live?.(message);
      fanOut.push(message);
    }
    for (const { receiver } of recovering ?? []) receiver.connection.deliver(Delivery.of(message));
  }

  #lose(subscribed: SubscribedStream, { epoch, offset, seen = none }: KnownPosition): void {
    subscribed.position = { epoch, offset };
    subscribed.recent = seen;
    subscribed.seen = offset;
    subscribed.tail = undefined;
    this.#log.warn({ scope: subscribed.stream.scope }, "history does not reach back; connections must resume");
    this.#callbacks.lost(subscribed);
  }

  /** Reads history until the position has caught up with the newest offset seen. */
  async #fill(subscribed: SubscribedStream): Promise<void> {
    subscribed.filling = true;
    try {
      while (subscribed.position && subscribed.position.offset < subscribed.seen && subscribed.holds > 0) {
        if (subscribed.fanOut.isFull) await subscribed.fanOut.room();
        const { epoch, offset } = subscribed.position;
        const { seen } = subscribed;
        const page = await this.#broker.history(subscribed.stream, offset, fillPageSize);
        if (subscribed.position.epoch !== epoch || subscribed.position.offset !== offset) continue;
        if (page.epoch !== epoch || page.first > offset + 1 || page.last < seen) {
          this.#lose(subscribed, { epoch: page.epoch, offset: page.last });
          continue;
        }
        for (const message of page.messages) this.#advance(subscribed, message);
        if (countConnections(subscribed) > 0) subscribed.onGiven?.(page.messages);
        subscribed.position = { epoch, offset: page.reaches };
      }
    } catch (error) {
      this.#tryAgain([subscribed], error);
    } finally {
      subscribed.filling = false;
    }
  }

  /** One more try is due, since nobody else may come to say that it is worth it. */
  #tryAgain(streams: readonly SubscribedStream[], error?: unknown): void {
    // While the broker is away it says so itself.
    if (this.#broker.up) this.#log.warn({ err: error }, "catching up with the broker failed; trying again");
    for (const { stream } of streams) {
      const current = this.#streams.get(stream.key);
      if (current) this.#stale.add(current);
    }
    if (!this.#closed) this.#retry ??= setTimeout(() => void this.resubscribe([]), retryMs);
  }
}
