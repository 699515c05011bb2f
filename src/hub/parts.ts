import type { Message } from "../broker/broker.ts";
import type { Log } from "../log.ts";
import type { Scope, Stream } from "../protocol/streams.ts";
import type { Connection } from "./connection.ts";
import { FanOut } from "./fan-out.ts";
import { HistoryReader } from "./history-reader.ts";
import { Presence } from "./presence.ts";
import { Publisher, type PublisherOptions } from "./publisher.ts";
import type { PostedFrame } from "./questions.ts";
import { Receipts } from "./receipts.ts";
import { Registry } from "./registry.ts";
import { Requests, type RequestsOptions } from "./requests.ts";
import { Revocations } from "./revocations.ts";
import { Rosters } from "./rosters.ts";
import { connectionsTo } from "./subscribed-stream.ts";
import { SubscribedStreams } from "./subscribed-streams.ts";
import { Sweeper } from "./sweeper.ts";
import { Topics } from "./topics.ts";
import { UserTopics } from "./user-topics.ts";

/** Settings of {@link Hub}. */
export interface HubOptions extends PublisherOptions, RequestsOptions {
  readonly log: Log;
  /** Name of this replica, unique among those that share a broker. */
  readonly replica: string;
  /** Bytes of messages written to a connection at once, unless a single message is larger. */
  readonly maxPassBytes: number;
  /** Connections of one user, over all replicas. */
  readonly maxConnectionsPerUser: number;
  readonly overLimit: "reject" | "replace";
  /** Topics of one connection, and topics that one user is subscribed to. */
  readonly maxSubscriptions: number;
  /** Topics that tell their subscribers who joins and who leaves, and patterns of them. Default: none. */
  readonly presenceTopics?: readonly string[] | undefined;
  /** Told of each message handed to connections: to how many, and the seconds since it was accepted. */
  readonly onDelivered?: (scope: Scope, connections: number, seconds: number) => void;
  /** Told of each stream that a client resumes. */
  readonly onResume?: (recovered: boolean) => void;
  /** Told of users' messages that connections were given from history; see {@link Undelivered.given}. */
  readonly onGiven?: ((messages: readonly Message[]) => void) | undefined;
  /** Takes what backends publish around the API; see {@link Hub.deliverHere}. */
  readonly onExternalPublish?: (payload: Buffer) => void;
  /**
   * Takes a frame that came to another replica.
   *
   * @returns 0, or, when there are too many, the ms after which it may be sent again; undefined: no such connection here
   */
  readonly onPostedFrame?: (posted: PostedFrame) => number | undefined;
}

/** What a hub is made of, each part made known to those that need it. */
export class Parts {
  readonly streams: SubscribedStreams;
  readonly publisher: Publisher;
  readonly presence: Presence;
  readonly revocations: Revocations;
  readonly requests: Requests;
  readonly receipts: Receipts;
  readonly rosters: Rosters;
  readonly topics: Topics;
  readonly userTopics: UserTopics;
  readonly registry: Registry;

  constructor(options: HubOptions) {
    const { broker, log } = options;
    const here = (stream: Stream) => this.#connectionsTo(stream);
    this.revocations = new Revocations(broker, log, () => this.registry.closeRevoked());
    this.presence = this.#createPresence(options);
    this.requests = new Requests(options, here);
    this.receipts = new Receipts(broker, {
      get: (stream) => this.streams.get(stream),
      receiversOf: (connection) => this.registry.subscriptionsOf(connection),
    });
    this.streams = this.#createStreams(options);
    this.publisher = new Publisher(options, this.streams);
    const { streams, presence, revocations, receipts, publisher } = this;
    const rosters = new Rosters({
      ...options,
      presence,
      tell: (stream, event, user) => {
        const draft = { json: JSON.stringify({ user }), event, ttl: 0 };
        // Where it could be refused, somebody would be half in the topic, or half out.
        publisher.deliverHere(stream, draft, Number.POSITIVE_INFINITY);
      },
    });
    const shared = { ...options, streams, reader: new HistoryReader(broker), presence, revocations, receipts, rosters };
    this.rosters = rosters;
    this.topics = new Topics({ ...shared, memberOf: (connection) => this.registry.memberOf(connection) });
    this.userTopics = new UserTopics({ ...options, topics: this.topics, connectionsTo: here });
    this.registry = new Registry({ ...shared, topics: this.topics, userTopics: this.userTopics });
  }

  /** Answers what a replica asks those subscribed to a stream, by the part that knows; undefined: none does. */
  answer(stream: Stream, question: unknown): unknown {
    return (
      this.requests.answer(stream, question) ??
      this.receipts.answer(stream, question) ??
      this.userTopics.answer(stream, question) ??
      this.rosters.answer(stream, question) ??
      this.revocations.answer(question) ??
      this.presence.answer(stream, question)
    );
  }

  /** Ends what runs in the background. */
  async close(): Promise<void> {
    this.streams.close();
    this.revocations.close();
    this.rosters.close();
    this.requests.close();
    await this.receipts.close();
  }

  #createPresence({ broker, replica, onPostedFrame }: HubOptions): Presence {
    return new Presence(broker, replica, {
      isElsewhere: (stream) => {
        const subscribed = this.streams.get(stream);
        if (subscribed) subscribed.isElsewhere = true;
      },
      takeFrame: (posted) => onPostedFrame?.(posted),
      connectionsTo: (stream) => this.#connectionsTo(stream),
      statsHere: () => ({
        connections: this.registry.size,
        users: this.streams.count("user"),
        topics: this.streams.count("topic"),
      }),
    });
  }

  #createStreams({ broker, log, maxPassBytes, onDelivered, onGiven }: HubOptions): SubscribedStreams {
    const fanOutOptions = {
      sweeper: new Sweeper(),
      maxPassBytes,
      onDelivered: (messages: readonly Message[], connections: number) => {
        const now = Date.now();
        for (const { stream, ts } of messages) onDelivered?.(stream.scope, connections, Math.max(0, now - ts) / 1000);
      },
    };
    return new SubscribedStreams(broker, log, {
      live: (message) => this.receipts.handedLive(message),
      createFanOut: () => new FanOut(fanOutOptions),
      lost: (subscribed) => {
        for (const connection of connectionsTo(subscribed)) connection.close("position_lost");
      },
      again: (subscribed) => {
        if (subscribed.stream.scope === "user") this.userTopics.applyAgain(connectionsTo(subscribed));
      },
      given: onGiven,
    });
  }

  #connectionsTo(stream: Stream): Connection[] {
    const subscribed = this.streams.get(stream);
    return subscribed ? connectionsTo(subscribed) : [];
  }
}
