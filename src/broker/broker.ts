import { BelfryError } from "../errors.ts";
import type { Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import type { Reminders } from "./reminders.ts";

/** What a publisher hands to the broker. */
export interface Publication {
  /** The message frame's text from behind its id to its end, see {@link Message.body}. */
  readonly body: string;
  /** When the message was accepted, in ms since the Unix epoch. */
  readonly ts: number;
  /** Live only: reaches who is connected now, is not stored and has no position. */
  readonly live: boolean;
  /** When the message stops mattering, in ms since the Unix epoch; 0: only with the history it stands in. */
  readonly expiresAtMs: number;
  /** Of the messages in one stream with the same key only the newest matters. */
  readonly collapse: string | undefined;
  /** Makes a repeated publish harmless. */
  readonly idempotency?: Idempotency | undefined;
}

/** Where a stream stands, or where a replica has been in it. */
export interface KnownPosition extends Position {
  /** Some of the newest messages up to there, by which a stream that has lost messages gives itself away. */
  readonly seen?: readonly SeenMessage[];
}

/** Where a stream stands that was subscribed to. */
export interface Standing extends KnownPosition {
  /** True when other replicas are subscribed to it too. */
  readonly isElsewhere?: boolean;
}

/** That there was a message at an offset. */
export interface SeenMessage {
  readonly offset: number;
  /** When it was accepted, in ms since the Unix epoch. */
  readonly ts: number;
}

/** What a publisher calls one publish, so that it can be repeated without being done twice. */
export interface Idempotency {
  /** Chosen by the publisher, for one stream. */
  readonly key: string;
  /** Stands for the whole request: a repetition has the same, anything else is a mistake. */
  readonly fingerprint: string;
}

/** A message as the broker hands it to the replicas. */
export interface Message {
  readonly stream: Stream;
  /** The id that clients see. */
  readonly id: string;
  /** Its place in the stream; undefined for a live-only message. */
  readonly position: Position | undefined;
  /**
   * The rest of its frame, already JSON: everything behind `{"type":"message","id":"…",`. The broker never looks inside,
   * so a message is written as JSON once, by the replica that accepted it.
   */
  readonly body: Buffer;
  readonly ts: number;
  readonly expiresAtMs: number;
  readonly collapse: string | undefined;
}

/** The broker's answer to a publish. */
export interface Published {
  readonly id: string;
  /** Connections of the publishing replica, plus the number of other replicas that it was handed to. */
  readonly receivers: number;
  /** True when it was published before, under its idempotency key: then this is the first answer again. */
  readonly replayed: boolean;
}

/** A piece of a stream's history. */
export interface HistoryPage {
  readonly epoch: string;
  /** From this offset on nothing that still matters is missing; `last + 1` when nothing is kept. */
  readonly first: number;
  /** Offset of the newest message in this epoch that may be seen; 0 when there was none. */
  readonly last: number;
  /** Offset up to which the page tells everything; the next page begins behind it. Equal to `last` on the last page. */
  readonly reaches: number;
  /** Offset up to which the stream was acked, as far as that is kept; 0: not at all in this epoch. */
  readonly acked: number;
  /** Messages in offset order, oldest first. Those whose time is over are left out. */
  readonly messages: readonly Message[];
}

/** How a question is asked. */
export interface AskOptions {
  /** Longest wait for the answers, in ms; 0: none is waited for. Default: 1000. */
  readonly timeoutMs?: number;
  /** True for an answer after which no other is wanted. Default: all are. */
  readonly isLast?: (answer: unknown) => boolean;
  /** Gives up when it is aborted. Default: nobody does. */
  readonly signal?: AbortSignal | undefined;
}

/** What was heard of a question. */
export interface Answers {
  /** Those that came in time, in the order of their coming. */
  readonly answers: readonly unknown[];
  /** How many replicas were asked: those subscribed to the stream. */
  readonly replicas: number;
}

/** What the broker reports back; set once, with {@link Broker.start}. */
export interface BrokerHandler {
  /**
   * A message of a subscribed stream arrived. After a lost connection messages may be missing, and a message may come
   * again: the handler compares offsets. Never called from within a publish: whoever publishes while a message is being
   * handed over would let the newer one overtake it.
   */
  onMessage(message: Message): void;
  /**
   * Another replica, or this one, asks those subscribed to `stream`; the answer, or what a promise resolves with, must be
   * JSON. Undefined: the question is not known here, and nobody answers; a promise of undefined: it is known, and all the
   * same nobody answers.
   */
  onQuestion(stream: Stream, question: unknown): unknown;
  /** A backend published around the API. The payload is as it came, and not checked in any way. */
  onExternalPublish(payload: Buffer): void;
  /**
   * The broker can be reached now: for the first time, or again, and then without subscriptions to these streams.
   *
   * @param streams default: all
   */
  onConnected(streams?: readonly Stream[]): void;
}

/**
 * What stands behind the hub: it numbers, stores and spreads messages, and carries questions between replicas. The hub
 * knows the connections of its own replica and nothing else; the broker knows no connection.
 *
 * Guarantees, for every implementation (checked by the contract suite):
 * - **Order.** In one stream offsets go up by one from 1, over all replicas, and each subscribed replica is handed them in
 *   that order.
 * - **Atomic.** When a publish resolves, the message is in the history and on its way to every subscribed replica. When it
 *   does not, or a crash comes in between, the message is in the history and on its way, now or with the next of its
 *   stream, or it is nowhere.
 * - **At most once.** A publish is never repeated by the broker on its own.
 * - **Epoch.** A stream keeps its epoch as long as its offsets are known.
 * - **Bounded.** Every call settles within a few seconds, reachable or not: it rejects with the BelfryError
 *   `unavailable` when it could not be done. A rejected publish may all the same have been done. A question takes as long
 *   as its asker is willing to wait, and is no operation under way meanwhile.
 */
export interface Broker {
  /**
   * Begins to work and returns at once; `onConnected` says when the broker can be used.
   */
  start(handler: BrokerHandler): void;

  /**
   * Numbers and stores a message (unless it is live only) and hands it to the subscribed replicas, this one included. In
   * history it takes the place of the older message with its collapse key. Under an idempotency key that was used for the
   * stream before, and is still remembered, nothing is published and the first answer is given again.
   *
   * @param here connections of this replica that listen to the stream; undefined when it is not subscribed
   * @throws BelfryError `invalid` when the idempotency key was used with another fingerprint
   */
  publish(stream: Stream, publication: Publication, here?: number): Promise<Published>;

  /**
   * Remembers an idempotency key that belongs to no stream.
   *
   * @throws BelfryError `invalid` when it is remembered with another fingerprint
   */
  claim(idempotency: Idempotency): Promise<void>;

  /**
   * Subscribes this replica to streams. Every message published behind the returned position is handed to `onMessage`;
   * some of those before it may be too.
   *
   * @param known where the caller has been in each stream, in the order given. A stream that is not that far any more in
   *   the same epoch, or has another message where one was seen, has lost messages that were acknowledged, and begins a
   *   new epoch
   * @returns the position of each stream, in the order given; a stream that never had a message gets its epoch now.
   *   Undefined: what stands behind this stream could not be reached, while others could. Rejects when none could
   */
  subscribe(
    streams: readonly Stream[],
    known?: readonly (KnownPosition | undefined)[],
  ): Promise<readonly (Standing | undefined)[]>;

  /** Ends a subscription; never rejects. */
  unsubscribe(stream: Stream): void;

  /**
   * Reads history.
   *
   * @param after offset that the caller has; 0 for the beginning
   * @param limit most messages to return, 1 or more
   */
  history(stream: Stream, after: number, limit: number): Promise<HistoryPage>;

  /** The stream that has, or had, this epoch; undefined when that is not known, or not any more. */
  streamOf(epoch: string): Promise<Stream | undefined>;

  /**
   * Keeps how far a stream was acked, as long as its offsets are known. Does nothing when it was further already, or is in
   * another epoch.
   */
  keepAcked(stream: Stream, position: Position): Promise<void>;

  /**
   * Asks every replica subscribed to a stream, this one included if it is, and waits until all have answered, one has given
   * the last answer that is wanted, the asker gives up, or the time is over. Whatever ends it, nothing is left of it here.
   *
   * @throws BelfryError `unavailable` when it could not be sent, or when too many questions wait for answers (50,000)
   */
  ask(stream: Stream, question: unknown, options?: AskOptions): Promise<Answers>;

  /**
   * Keeps a revocation for all replicas, until its time is over. Nobody is told of it: whoever adds one asks the others too.
   *
   * @param text what the caller makes of it; the same text is kept once
   * @throws BelfryError `unavailable` when too many are kept
   */
  addRevocation(text: string, expiresAtMs: number): Promise<void>;

  /** The revocations whose time is not over, in no order. */
  revocations(): Promise<string[]>;

  /**
   * Subscribes a user to a topic until {@link removeUserTopic}. Nobody is told of it: whoever does it asks the replicas too.
   *
   * @param max topics that a user may be subscribed to
   * @throws BelfryError `invalid` when the user is subscribed to as many already
   */
  addUserTopic(user: string, topic: string, max: number): Promise<void>;

  /** Ends what {@link addUserTopic} began; does nothing when the user is not subscribed. */
  removeUserTopic(user: string, topic: string): Promise<void>;

  /** The topics that a user is subscribed to, in no order. */
  userTopics(user: string): Promise<string[]>;

  /**
   * Counts the messages of a publisher against {@link BrokerOptions.maxPublishesPerSecond}, together with what all replicas count.
   *
   * @param publisher name of the API key
   * @returns 0 when they may be published, else the ms after which trying again makes sense
   */
  countPublishes(publisher: string, messages: number): Promise<number>;

  /** Texts that are kept until they are due. */
  readonly reminders: Reminders;

  /** Resolves when the broker can do its work now, rejects with `unavailable` and the reason when it cannot. */
  check(): Promise<void>;

  /** True when the last thing known of the broker is that it can be reached. */
  readonly up: boolean;

  /** Ends all connections and timers. */
  close(): Promise<void>;
}

/** What every broker needs to know. */
export interface BrokerOptions {
  /** Most messages kept of one stream. */
  readonly historySize: number;
  /** How long a message is kept, in seconds. */
  readonly historyTtlSeconds: number;
  /** How long an idempotency key is remembered, in seconds. */
  readonly idempotencyTtlSeconds: number;
  /** Messages a second that each publisher may send; undefined: not limited, and nothing is counted. */
  readonly maxPublishesPerSecond?: number | undefined;
}

/** Most revocations that are kept. */
export const maxRevocations = 100_000;

/** No more are kept: what is old has to expire first. */
export function tooManyRevocations(): BelfryError {
  return new BelfryError("unavailable", `${maxRevocations} revocations are in force already`, {
    retryAfterSeconds: 60,
  });
}

/** An idempotency key was used before, for something else. */
export function idempotencyConflict(): BelfryError {
  return new BelfryError("invalid", "the Idempotency-Key was used with another body; use a new key for a new message");
}
