import type { HistoryPage, Idempotency } from "../broker/broker.ts";
import type { Credentials } from "../credentials.ts";
import { closeCodes } from "../protocol/close-codes.ts";
import type { Position } from "../protocol/positions.ts";
import type { Resumption } from "../protocol/since.ts";
import { broadcastStream, type Stream, topicStream, userStream } from "../protocol/streams.ts";
import type { Admission } from "./admission.ts";
import type { Client } from "./client.ts";
import { ClientEvents } from "./client-events.ts";
import type { Connection } from "./connection.ts";
import { type MessageDraft, type MessageOptions, toJson } from "./messages.ts";
import { type HubOptions, Parts } from "./parts.ts";
import type { Receipt } from "./publisher.ts";
import type { ConnectionInfo, PostedFrame, ReplicaStats, TopicInfo } from "./questions.ts";
import type { Receipts } from "./receipts.ts";
import type { Reply, RequestOptions, Requests } from "./requests.ts";
import type { Revocation } from "./revocations.ts";
import type { Topics } from "./topics.ts";
import type { UserTopics } from "./user-topics.ts";

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
  readonly #parts: Parts;

  constructor(options: HubOptions) {
    super(options.log);
    this.#options = options;
    this.#parts = new Parts(options);
    ({ topics: this.topics, userTopics: this.userTopics } = this.#parts);
    ({ requests: this.requests, receipts: this.receipts } = this.#parts);
  }

  /** Begins to work; every replica listens to broadcasts from here on. */
  start(): void {
    const { streams, revocations, rosters } = this.#parts;
    streams.keep(broadcastStream);
    this.#options.broker.start({
      onMessage: (message) => streams.accept(message),
      onQuestion: (stream, question) => this.#parts.answer(stream, question),
      onExternalPublish: (payload) => this.#options.onExternalPublish?.(payload),
      onConnected: (lost) => {
        void streams.resubscribe(lost);
        revocations.load();
        rosters.resynchronize();
      },
    });
  }

  /** Connections registered here. */
  get connections(): Iterable<Connection> {
    return this.#parts.registry.connections;
  }

  /** Number of connections registered here. */
  get size(): number {
    return this.#parts.registry.size;
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
    return this.#parts.publisher.send(stream, draft);
  }

  /**
   * Reads history behind a position; of a position in another epoch, from the beginning. No messages: there are none behind
   * it any more.
   *
   * @throws BelfryError `unavailable`
   */
  async history(stream: Stream, after: Position | undefined, limit: number): Promise<HistoryPage> {
    return this.#parts.publisher.history(stream, after, limit);
  }

  /**
   * Binds an idempotency key to what a batch says, so that another batch cannot use it.
   *
   * @throws BelfryError `invalid` when it is bound to something else, `unavailable`
   */
  async claim(idempotency: Idempotency): Promise<void> {
    await this.#options.broker.claim(idempotency);
  }

  /**
   * Delivers a live-only message to the connections of this replica and no other: every replica is handed what backends
   * publish around the API, and does this with it.
   *
   * @throws BelfryError `invalid` or `too_large`
   */
  deliverHere(stream: Stream, draft: MessageDraft): void {
    this.#parts.publisher.deliverHere(stream, draft);
  }

  /**
   * Prepares the registration of a connection while its handshake is still open, so that whoever sees the connection open
   * misses nothing from then on. Give it to `register` or to `dismiss`.
   *
   * @param since the streams that the client resumes; of an anonymous client's, only broadcasts count
   * @throws BelfryError `unauthorized` when the credentials were revoked, `unavailable`
   */
  admit(credentials: Credentials, since: Resumption = {}): Promise<Admission> {
    return this.#parts.registry.admit(credentials, since);
  }

  /** Gives up on an admission whose connection did not come about. */
  dismiss(admission: Admission): void {
    this.#parts.registry.dismiss(admission);
  }

  /**
   * Registers a connection: it is welcomed, and from then on handed every message behind the positions it was told.
   *
   * @returns false when the user has too many connections; the connection was closed then
   */
  register(connection: Connection, admission: Admission): boolean {
    const isRegistered = this.#parts.registry.register(connection, admission);
    if (isRegistered) this.announce("connect", () => this.clientOf(connection));
    return isRegistered;
  }

  /** Takes a connection out; false when it was not registered. */
  unregister(connection: Connection): boolean {
    if (!this.#parts.registry.unregister(connection)) return false;
    this.requests.gone(connection);
    this.announce("disconnect", () => this.clientOf(connection));
    return true;
  }

  /** The connections of a user on all replicas. */
  async connectionsOf(user: string): Promise<ConnectionInfo[]> {
    return this.#parts.presence.connectionsOf(user);
  }

  /** Who listens to a topic, over all replicas. */
  async topic(topic: string): Promise<TopicInfo> {
    return this.#parts.presence.topic(topic);
  }

  /** Closes the connections of a user on all replicas with 4403 and says how many there were. */
  async disconnect(user: string): Promise<number> {
    return this.#parts.presence.disconnect(user);
  }

  /** Brings a frame to the replica that holds its connection, and says what that makes of it. Rejects with `unavailable`. */
  async postFrame(user: string | null, posted: PostedFrame): Promise<number | undefined> {
    return this.#parts.presence.postFrame(user, posted);
  }

  /**
   * Gives a connection newer credentials of the same user.
   *
   * @throws BelfryError `forbidden` when they are somebody else's, `unauthorized` when they were revoked
   */
  renew(connection: Connection, credentials: Credentials): void {
    this.#parts.registry.renew(connection, credentials);
  }

  /**
   * Revokes tokens on all replicas, and closes with 4401 the connections that were let in with them.
   *
   * @throws BelfryError `unavailable`
   */
  async revoke(revocation: Revocation): Promise<void> {
    await this.#parts.revocations.keep(revocation);
    await this.#parts.revocations.tell(revocation);
  }

  /** What this replica holds. */
  statsHere(): ReplicaStats {
    return this.#parts.presence.statsHere();
  }

  /** What each replica holds, this one included. */
  async stats(): Promise<ReplicaStats[]> {
    return this.#parts.presence.stats();
  }

  /** The service's own view of a connection. */
  clientOf(connection: Connection): Client {
    const { id, user, transport, remote } = connection;
    const disconnect = (reason?: string) => connection.close("forbidden", reason ?? closeCodes.forbidden.reason);
    return { connection: id, user, transport, remote, disconnect };
  }

  /** Lets go of the broker; connections are not closed here. */
  async close(): Promise<void> {
    await this.#parts.close();
    await this.#options.broker.close();
  }
}
