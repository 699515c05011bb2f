import type { Credentials } from "../credentials.ts";
import { BelfryError } from "../errors.ts";
import type { Resumption } from "../protocol/since.ts";
import { broadcastStream, userStream } from "../protocol/streams.ts";
import { type Admission, type AdmittedStream, admitTo, welcomeOf } from "./admission.ts";
import type { Connection } from "./connection.ts";
import type { HistoryReader } from "./history-reader.ts";
import { Member } from "./member.ts";
import type { Presence } from "./presence.ts";
import type { Receipts } from "./receipts.ts";
import { recover } from "./recovery.ts";
import type { Revocations } from "./revocations.ts";
import { connectionsTo, type SubscribedStream } from "./subscribed-stream.ts";
import type { SubscribedStreams } from "./subscribed-streams.ts";

/** What the {@link Registry} works with. */
export interface RegistryOptions {
  readonly streams: SubscribedStreams;
  readonly reader: HistoryReader;
  readonly presence: Presence;
  readonly revocations: Revocations;
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
  readonly streams: readonly SubscribedStream[];
}

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

  /** The streams that a connection listens to; none when it is not registered. */
  streamsOf(connection: Connection): readonly SubscribedStream[] {
    return this.#registrations.get(connection)?.streams ?? [];
  }

  /** See {@link Hub.admit}. */
  async admit(credentials: Credentials, since: Resumption): Promise<Admission> {
    const { streams: all, reader, presence, revocations } = this.#options;
    const { user } = credentials;
    const streams: AdmittedStream[] = [];
    try {
      streams.push(await admitTo(broadcastStream, since.broadcast, all, reader));
      if (user !== null) streams.push(await admitTo(userStream(user), since.user, all, reader));
      const isElsewhere = user !== null && streams[1]?.subscribed.isElsewhere;
      const elsewhere = isElsewhere ? await presence.connectionsElsewhere(user) : [];
      await revocations.loaded();
      this.#checkRevoked(credentials);
      return { streams, elsewhere };
    } catch (error) {
      this.dismiss({ streams, elsewhere: [] });
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
    const { onResume, reader, receipts } = this.#options;
    const member = new Member(connection);
    const streams = admission.streams.map(({ subscribed }) => subscribed);
    this.#registrations.set(connection, { member, streams });
    connection.welcome(welcomeOf(admission));
    for (const { subscribed, plan, page } of admission.streams) {
      receipts.begin(connection, subscribed, plan);
      if (plan) {
        onResume?.(plan.recovered);
        void recover(member, subscribed, plan.from, reader, page);
      } else {
        subscribed.fanOut.join(member);
      }
    }
    return true;
  }

  /** @returns false when it was not registered */
  unregister(connection: Connection): boolean {
    const registration = this.#registrations.get(connection);
    if (!registration) return false;
    this.#registrations.delete(connection);
    for (const subscribed of registration.streams) {
      subscribed.fanOut.leave(registration.member);
      subscribed.recovering.delete(connection);
      this.#options.receipts.end(connection, subscribed);
      this.#options.streams.release(subscribed);
    }
    return true;
  }

  /** See {@link Hub.renew}. */
  renew(connection: Connection, credentials: Credentials): void {
    if (credentials.user !== connection.user) {
      throw new BelfryError("forbidden", "the token is of another user; connect with it");
    }
    this.#checkRevoked(credentials);
    connection.renew(credentials.token);
  }

  /** Closes what was let in with something that is revoked by now. */
  closeRevoked(): void {
    for (const connection of this.#registrations.keys()) {
      if (this.#options.revocations.cover(connection)) connection.close("unauthorized", "the token was revoked");
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
      this.#closeOldest(connection.user ?? "", here, admission);
      return true;
    }
    this.dismiss(admission);
    connection.close("too_many", "too many connections of this user");
    return false;
  }

  #closeOldest(user: string, here: readonly Connection[], { elsewhere }: Admission): void {
    const oldestHere = here.toSorted((a, b) => a.connectedAtMs - b.connectedAtMs)[0];
    const oldestElsewhere = elsewhere.toSorted((a, b) => a.connectedAt - b.connectedAt)[0];
    if (oldestElsewhere && oldestElsewhere.connectedAt < (oldestHere?.connectedAtMs ?? Number.POSITIVE_INFINITY)) {
      // While Redis is away there is one too many; the next connection makes that good.
      this.#options.presence.replace(user, oldestElsewhere.connection).catch(() => {});
    } else {
      oldestHere?.close("replaced");
    }
  }
}
