import type { Credentials } from "../credentials.ts";
import { BelfryError } from "../errors.ts";
import type { Resumption } from "../protocol/since.ts";
import { broadcastStream, userStream } from "../protocol/streams.ts";
import { type Admission, type AdmittedStream, admitTo, welcomeOf } from "./admission.ts";
import type { Connection } from "./connection.ts";
import type { HistoryReader } from "./history-reader.ts";
import { Member } from "./member.ts";
import type { Presence } from "./presence.ts";
import type { ConnectionInfo } from "./questions.ts";
import type { Receipts } from "./receipts.ts";
import type { Revocations } from "./revocations.ts";
import { connectionsTo } from "./subscribed-stream.ts";
import type { SubscribedStreams } from "./subscribed-streams.ts";
import { Subscription } from "./subscription.ts";
import type { Topics } from "./topics.ts";
import type { UserTopics } from "./user-topics.ts";

/** What the {@link Registry} works with. */
export interface RegistryOptions {
  readonly streams: SubscribedStreams;
  readonly reader: HistoryReader;
  readonly presence: Presence;
  readonly revocations: Revocations;
  readonly topics: Topics;
  readonly userTopics: UserTopics;
  readonly receipts: Receipts;
  /** Connections of one user, over all replicas. */
  readonly maxConnectionsPerUser: number;
  /** What happens to one more: it is turned away, or takes the place of the oldest. */
  readonly overLimit: "reject" | "replace";
  /** Told of each stream that a client resumes. */
  readonly onResume?: ((recovered: boolean) => void) | undefined;
}

/** A connection that is registered. */
interface Registration {
  readonly member: Member;
  /** To broadcasts, and to its user's messages; empty until it has been welcomed. */
  subscriptions: readonly Subscription[];
}

/** One for all registrations that have none yet. */
const none: readonly Subscription[] = [];

/** The connections of this replica: who is let in, and what each of them listens to. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #registrations = new Map<Connection, Registration>();

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  get connections(): Iterable<Connection> {
    return this.#registrations.keys();
  }

  get size(): number {
    return this.#registrations.size;
  }

  /** A connection's places in streams; none when it is not registered. */
  subscriptionsOf(connection: Connection): readonly Subscription[] {
    const registration = this.#registrations.get(connection);
    if (!registration) return none;
    return [...registration.subscriptions, ...this.#options.topics.subscriptionsOf(registration.member)];
  }

  /** See {@link Hub.admit}. */
  async admit(credentials: Credentials, since: Resumption): Promise<Admission> {
    const { streams: all, reader, presence, revocations } = this.#options;
    const { user } = credentials;
    const streams: AdmittedStream[] = [];
    try {
      streams.push(await admitTo(broadcastStream, () => since.broadcast, all, reader));
      if (user !== null) streams.push(await admitTo(userStream(user), () => since.user, all, reader));
      const isElsewhere = user !== null && streams[1]?.subscribed.isElsewhere;
      const elsewhere = isElsewhere ? await presence.connectionsElsewhere(user) : [];
      await revocations.loaded();
      this.#checkRevoked(credentials);
      return { streams, elsewhere, topics: since.topics ?? [] };
    } catch (error) {
      for (const { subscribed } of streams) all.release(subscribed);
      throw error;
    }
  }

  /** See {@link Hub.dismiss}. */
  dismiss({ streams }: Admission): void {
    for (const { subscribed } of streams) this.#options.streams.release(subscribed);
  }

  /** See {@link Hub.register}. */
  register(connection: Connection, admission: Admission): boolean {
    if (!this.#makeRoom(connection, admission)) return false;
    const { onResume, reader, receipts, userTopics } = this.#options;
    const member = new Member(connection);
    const registration: Registration = { member, subscriptions: none };
    this.#registrations.set(connection, registration);
    connection.welcome(welcomeOf(admission));
    registration.subscriptions = admission.streams.map((admitted) => {
      if (admitted.plan) onResume?.(admitted.plan.recovered);
      return new Subscription(member, admitted, { reader, receipts });
    });
    // Slow already: it was unregistered meanwhile.
    if (connection.gone) this.#end(registration);
    void userTopics.apply(connection, admission.topics);
    return true;
  }

  /** @returns false when it was not registered */
  unregister(connection: Connection): boolean {
    const registration = this.#registrations.get(connection);
    if (!registration) return false;
    this.#registrations.delete(connection);
    this.#options.topics.leaveAll(registration.member);
    this.#end(registration);
    return true;
  }

  /** See {@link Hub.renew}. */
  renew(connection: Connection, credentials: Credentials): void {
    if (credentials.user !== connection.user) {
      throw new BelfryError("forbidden", "the token is of another user; connect with it");
    }
    this.#checkRevoked(credentials);
    connection.renew(credentials.token);
    this.#options.topics.recheck(connection);
  }

  /** A registered connection as a member of streams. */
  memberOf(connection: Connection): Member | undefined {
    return this.#registrations.get(connection)?.member;
  }

  /** Closes what was let in with something that is revoked by now. */
  closeRevoked(): void {
    for (const connection of this.#registrations.keys()) {
      if (this.#options.revocations.cover(connection)) connection.close("unauthorized", "the token was revoked");
    }
  }

  #end({ subscriptions }: Registration): void {
    const { streams, receipts } = this.#options;
    for (const subscription of subscriptions) {
      subscription.end(receipts);
      streams.release(subscription.subscribed);
    }
  }

  #checkRevoked(credentials: Credentials): void {
    if (this.#options.revocations.cover(credentials)) {
      throw new BelfryError("unauthorized", "the token was revoked");
    }
  }

  /** Applies the limit of connections per user; false when the connection was turned away. */
  #makeRoom(connection: Connection, admission: Admission): boolean {
    const { maxConnectionsPerUser, overLimit } = this.#options;
    const user = admission.streams[1]?.subscribed;
    const here = user ? connectionsTo(user) : [];
    if (here.length + admission.elsewhere.length < maxConnectionsPerUser) return true;
    if (overLimit === "replace") {
      const over = here.length + admission.elsewhere.length + 1 - maxConnectionsPerUser;
      this.#closeOldest(connection.user ?? "", over, here, admission);
      return true;
    }
    this.dismiss(admission);
    connection.close("too_many", "too many connections of this user");
    return false;
  }

  /** Closes all that are over the limit: of those that came at the same time to several replicas, too many were let in. */
  #closeOldest(user: string, over: number, here: readonly Connection[], { elsewhere }: Admission): void {
    const oldest = [...here, ...elsewhere].toSorted((a, b) => connectedAtMs(a) - connectedAtMs(b)).slice(0, over);
    const oldestElsewhere = oldest.filter((one) => "connection" in one).map(({ connection }) => connection);
    // While Redis is away there are too many; the next connection makes that good.
    if (oldestElsewhere.length > 0) this.#options.presence.replace(user, oldestElsewhere).catch(() => {});
    for (const one of oldest) if ("close" in one) one.close("replaced");
  }
}

function connectedAtMs(one: Connection | ConnectionInfo): number {
  return "connection" in one ? one.connectedAt : one.connectedAtMs;
}
