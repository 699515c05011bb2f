import type { Broker, HistoryPage, Idempotency, Message } from "../broker/broker.ts";
import type { Credentials } from "../credentials.ts";
import type { Log } from "../log.ts";
import { closeCodes } from "../protocol/close-codes.ts";
import type { Position } from "../protocol/positions.ts";
import type { Resumption } from "../protocol/since.ts";
import { broadcastStream, type Scope, type Stream, topicStream, userStream } from "../protocol/streams.ts";
import type { Admission } from "./admission.ts";
import type { Client } from "./client.ts";
import { ClientEvents } from "./client-events.ts";
import type { Connection } from "./connection.ts";
import { FanOut } from "./fan-out.ts";
import { HistoryReader } from "./history-reader.ts";
import { type MessageDraft, type MessageOptions, toJson } from "./messages.ts";
import { Presence } from "./presence.ts";
import { Publisher, type PublisherOptions, type Receipt } from "./publisher.ts";
import type { ConnectionInfo, PostedFrame, ReplicaStats, TopicInfo } from "./questions.ts";
import { Receipts } from "./receipts.ts";
import { Registry } from "./registry.ts";
import { type Reply, type RequestOptions, Requests, type RequestsOptions } from "./requests.ts";
import { type Revocation, Revocations } from "./revocations.ts";
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

/**
 * The connections of this replica, and the messages to them. Sending goes to the broker; delivery happens only when the
 * broker hands a message back, so that one replica in memory and fifty on Redis walk the same path.
 */
export class Hub extends ClientEvents {
  /** The topics that connections listen to. */
  readonly topics: Topics;
  /** The topics that users are subscribed to. */
  readonly userTopics: UserTopics;
  /** Questions to users that somebody waits for the answer to; see {@link request}. */
  readonly requests: Requests;
  /** Who has handled which message. */
  readonly receipts: Receipts;
  readonly #options: HubOptions;
  readonly #broker: Broker;
  readonly #streams: SubscribedStreams;
  readonly #registry: Registry;
  readonly #presence: Presence;
  readonly #publisher: Publisher;
  readonly #revocations: Revocations;
  readonly #rosters: Rosters;

  constructor(options: HubOptions) {
    super(options.log);
    this.#options = options;
    this.#broker = options.broker;
    this.#revocations = new Revocations(options.broker, options.log, () => this.#registry.closeRevoked());
    this.#presence = new Presence(options.broker, options.replica, {
      revoke: (revocation) => this.#revocations.add(revocation),
      isElsewhere: (stream) => {
        const subscribed = this.#streams.get(stream);
        if (subscribed) subscribed.isElsewhere = true;
      },
      applyTopics: (connections) => {
        for (const connection of connections) void this.userTopics.apply(connection);
      },
      answerRoster: (stream, question) => this.#rosters.answer(stream, question),
      takeFrame: (posted) => options.onPostedFrame?.(posted),
      connectionsTo: (stream) => this.#connectionsTo(stream),
      statsHere: () => ({
        connections: this.#registry.size,
        users: this.#streams.count("user"),
        topics: this.#streams.count("topic"),
      }),
    });
    this.requests = new Requests(options, (stream) => this.#connectionsTo(stream));
    this.receipts = new Receipts(options.broker, {
      get: (stream) => this.#streams.get(stream),
      streamsOf: (connection) => this.#registry.streamsOf(connection),
    });
    const fanOutOptions = {
      sweeper: new Sweeper(),
      maxPassBytes: options.maxPassBytes,
      onDelivered: (messages: readonly Message[], connections: number) => this.#delivered(messages, connections),
    };
    this.#streams = new SubscribedStreams(options.broker, options.log, {
      live: (message) => this.receipts.handedLive(message),
      createFanOut: () => new FanOut(fanOutOptions),
      lost: (subscribed) => {
        for (const connection of connectionsTo(subscribed)) connection.close("position_lost");
      },
      again: (subscribed) => {
        if (subscribed.stream.scope === "user") this.userTopics.applyAgain(connectionsTo(subscribed));
      },
      given: options.onGiven,
    });
    this.#publisher = new Publisher(options, this.#streams);
    const shared = {
      ...options,
      streams: this.#streams,
      reader: new HistoryReader(options.broker),
      presence: this.#presence,
      revocations: this.#revocations,
      receipts: this.receipts,
    };
    this.#rosters = new Rosters({
      ...options,
      tell: (stream, event, user) => this.deliverHere(stream, { json: JSON.stringify({ user }), event, ttl: 0 }),
    });
    this.topics = new Topics({
      ...shared,
      rosters: this.#rosters,
      memberOf: (connection) => this.#registry.memberOf(connection),
    });
    this.userTopics = new UserTopics({ ...shared, topics: this.topics });
    this.#registry = new Registry({ ...shared, topics: this.topics, userTopics: this.userTopics });
  }

  /** Begins to work; every replica listens to broadcasts from here on. */
  start(): void {
    this.#streams.keep(broadcastStream);
    this.#broker.start({
      onMessage: (message) => this.#streams.accept(message),
      onQuestion: (stream, question) =>
        this.requests.answer(stream, question) ??
        this.receipts.answer(stream, question) ??
        this.#presence.answer(stream, question),
      onExternalPublish: (payload) => this.#options.onExternalPublish?.(payload),
      onConnected: (streams) => {
        void this.#streams.resubscribe(streams);
        this.#revocations.load();
        this.#rosters.resynchronize();
      },
    });
  }

  /** Connections registered here. */
  get connections(): Iterable<Connection> {
    return this.#registry.connections;
  }

  /** Number of connections registered here. */
  get size(): number {
    return this.#registry.size;
  }

  /** Sends to every connection; `data` is any value that JSON can say. Rejects with BelfryError. */
  async broadcast(data: unknown, options: MessageOptions = {}): Promise<Receipt> {
    return this.send(broadcastStream, { ...options, json: toJson(data) });
  }

  /** Sends to all connections of one user, wherever they are. Rejects with BelfryError. */
  async broadcastUser(user: string, data: unknown, options: MessageOptions = {}): Promise<Receipt> {
    return this.send(userStream(user), { ...options, json: toJson(data) });
  }

  /** Sends to the subscribers of a topic. Rejects with BelfryError. */
  async publish(topic: string, data: unknown, options: MessageOptions = {}): Promise<Receipt> {
    return this.send(topicStream(topic), { ...options, json: toJson(data) });
  }

  /**
   * Asks a user, on all connections wherever they are, and resolves with the first reply.
   *
   * @throws BelfryError `invalid`, `too_large`, `not_found` (not connected), `no_reply`, `unavailable`
   */
  async request(user: string, data: unknown, options: RequestOptions = {}): Promise<Reply> {
    const reply = await this.requests.send(user, toJson(data), options);
    return { ...reply, data: JSON.parse(reply.data) };
  }

  /**
   * Sends data that is JSON text already.
   *
   * @throws BelfryError `invalid` or `too_large`: nothing was sent; `unavailable`: it may or may not have been
   */
  send(stream: Stream, draft: MessageDraft): Promise<Receipt> {
    return this.#publisher.send(stream, draft);
  }

  /**
   * Reads history behind a position; of a position in another epoch, from the beginning. No messages: there are none behind
   * it any more.
   *
   * @throws BelfryError `unavailable`
   */
  async history(stream: Stream, after: Position | undefined, limit: number): Promise<HistoryPage> {
    return this.#publisher.history(stream, after, limit);
  }

  /**
   * Binds an idempotency key to what a batch says, so that another batch cannot use it.
   *
   * @throws BelfryError `invalid` when it is bound to something else, `unavailable`
   */
  async claim(idempotency: Idempotency): Promise<void> {
    await this.#broker.claim(idempotency);
  }

  /**
   * Delivers a live-only message to the connections of this replica and no other: every replica is handed what backends
   * publish around the API, and does this with it.
   *
   * @throws BelfryError `invalid` or `too_large`
   */
  deliverHere(stream: Stream, draft: MessageDraft): void {
    this.#publisher.deliverHere(stream, draft);
  }

  /**
   * Prepares the registration of a connection while its handshake is still open, so that whoever sees the connection open
   * misses nothing from then on. Give it to `register` or to `dismiss`.
   *
   * @param since the streams that the client resumes; of an anonymous client's, only broadcasts count
   * @throws BelfryError `unauthorized` when the credentials were revoked, `unavailable`
   */
  admit(credentials: Credentials, since: Resumption = {}): Promise<Admission> {
    return this.#registry.admit(credentials, since);
  }

  /** Gives up on an admission whose connection did not come about. */
  dismiss(admission: Admission): void {
    this.#registry.dismiss(admission);
  }

  /**
   * Registers a connection: it is welcomed, and from then on handed every message behind the positions it was told.
   *
   * @returns false when the user has too many connections; the connection was closed then
   */
  register(connection: Connection, admission: Admission): boolean {
    const isRegistered = this.#registry.register(connection, admission);
    if (isRegistered) this.announce("connect", () => this.clientOf(connection));
    return isRegistered;
  }

  /** Takes a connection out; false when it was not registered. */
  unregister(connection: Connection): boolean {
    if (!this.#registry.unregister(connection)) return false;
    this.requests.gone(connection);
    this.announce("disconnect", () => this.clientOf(connection));
    return true;
  }

  /** The connections of a user on all replicas. */
  async connectionsOf(user: string): Promise<ConnectionInfo[]> {
    return this.#presence.connectionsOf(user);
  }

  /** Who listens to a topic, over all replicas. */
  async topic(topic: string): Promise<TopicInfo> {
    return this.#presence.topic(topic);
  }

  /** Closes the connections of a user on all replicas with 4403 and says how many there were. */
  async disconnect(user: string): Promise<number> {
    return this.#presence.disconnect(user);
  }

  /** Brings a frame to the replica that holds its connection, and says what that makes of it. Rejects with `unavailable`. */
  async postFrame(user: string | null, posted: PostedFrame): Promise<number | undefined> {
    return this.#presence.postFrame(user, posted);
  }

  /**
   * Gives a connection newer credentials of the same user.
   *
   * @throws BelfryError `forbidden` when they are somebody else's, `unauthorized` when they were revoked
   */
  renew(connection: Connection, credentials: Credentials): void {
    this.#registry.renew(connection, credentials);
  }

  /**
   * Revokes tokens on all replicas, and closes with 4401 the connections that were let in with them.
   *
   * @throws BelfryError `unavailable`
   */
  async revoke(revocation: Revocation): Promise<void> {
    await this.#revocations.keep(revocation);
    await this.#presence.tellOfRevocation(revocation);
  }

  /** What this replica holds. */
  statsHere(): ReplicaStats {
    return this.#presence.statsHere();
  }

  /** What each replica holds, this one included. */
  async stats(): Promise<ReplicaStats[]> {
    return this.#presence.stats();
  }

  /** The service's own view of a connection. */
  clientOf(connection: Connection): Client {
    const { id, user, transport, remote } = connection;
    const disconnect = (reason?: string) => connection.close("forbidden", reason ?? closeCodes.forbidden.reason);
    return { connection: id, user, transport, remote, disconnect };
  }

  /** Lets go of the broker; connections are not closed here. */
  async close(): Promise<void> {
    this.#streams.close();
    this.#revocations.close();
    this.#rosters.close();
    this.requests.close();
    await this.receipts.close();
    await this.#broker.close();
  }

  #delivered(messages: readonly Message[], connections: number): void {
    const { onDelivered } = this.#options;
    const now = Date.now();
    for (const { stream, ts } of messages) onDelivered?.(stream.scope, connections, Math.max(0, now - ts) / 1000);
  }

  #connectionsTo(stream: Stream): Connection[] {
    const subscribed = this.#streams.get(stream);
    return subscribed ? connectionsTo(subscribed) : [];
  }
}
