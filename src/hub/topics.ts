import { BelfryError } from "../errors.ts";
import type { FrameRef } from "../protocol/frames.ts";
import { formatId, type Position } from "../protocol/positions.ts";
import type { SinceIn } from "../protocol/since.ts";
import { topicStream } from "../protocol/streams.ts";
import { namesTopic } from "../protocol/topic-patterns.ts";
import { admitTo } from "./admission.ts";
import type { Connection } from "./connection.ts";
import type { HistoryReader } from "./history-reader.ts";
import type { Member } from "./member.ts";
import type { Receipts } from "./receipts.ts";
import type { Roster } from "./roster.ts";
import type { Rosters } from "./rosters.ts";
import type { SubscribedStreams } from "./subscribed-streams.ts";
import { Subscription } from "./subscription.ts";

/**
 * Why a connection may listen to a topic: `open`, everybody may, or the service has said so once and for all; `token`, the
 * token that the connection has says so, and with another one it is looked at again.
 */
type Grant = "open" | "token";

/** What a client asks for with a `subscribe` frame. */
export interface SubscribeRequest {
  readonly topic: string;
  /** What it has of the topic; default: nothing. Of no effect while it is subscribed already. */
  readonly sinceIn?: SinceIn;
  readonly ref?: FrameRef | undefined;
  /** Decides whether it may; rejects with BelfryError. */
  readonly authorize: () => Promise<Grant>;
}

/** What {@link Topics} works with. */
export interface TopicsOptions {
  readonly streams: SubscribedStreams;
  readonly reader: HistoryReader;
  readonly rosters: Rosters;
  readonly receipts: Receipts;
  /** A registered connection as a member of streams. */
  readonly memberOf: (connection: Connection) => Member | undefined;
  /** Topics of one connection, and of those that a user is subscribed to. */
  readonly maxSubscriptions: number;
  /** Told of each stream that a client resumes. */
  readonly onResume?: ((recovered: boolean) => void) | undefined;
}

/** A connection's place in a topic, or on its way into it or out of it. */
interface Entry {
  subscription: Subscription | undefined;
  /** Of a topic that tells who is there. */
  roster: Roster | undefined;
  /** By which the connection has asked for it; undefined: it has not, or has asked for its end. */
  grant: Grant | undefined;
  /** The user is subscribed, whatever this connection asks for. */
  isOfUser: boolean;
  /** Ends with the last change that was begun. */
  last: Promise<unknown>;
  /** Changes that are under way or wait for it. */
  changes: number;
}

/** Changes to one topic of a connection that may wait for each other. */
const maxChanges = 16;

/** Most users that a `subscribed` frame tells. */
const maxUsersTold = 1000;

/** The topics that the connections of this replica listen to: those they have subscribed to, and those of their users. */
export class Topics {
  readonly #options: TopicsOptions;
  readonly #entries = new Map<Member, Map<string, Entry>>();
  #size = 0;

  constructor(options: TopicsOptions) {
    this.#options = options;
  }

  /** Number of subscriptions of all connections. */
  get size(): number {
    return this.#size;
  }

  /**
   * Subscribes a connection, which is sent a `subscribed` frame and then what it missed and what comes.
   *
   * @throws BelfryError `too_many`, `unavailable`, and what `authorize` rejects with
   */
  async subscribe(
    connection: Connection,
    { topic, sinceIn = () => undefined, ref, authorize }: SubscribeRequest,
  ): Promise<void> {
    const { maxSubscriptions, memberOf } = this.#options;
    const member = memberOf(connection);
    if (!member) return;
    const entries = this.#entries.get(member);
    if (entries && entries.size >= maxSubscriptions && !entries.has(topic)) {
      throw new BelfryError("too_many", `a connection may be subscribed to ${maxSubscriptions} topics`);
    }
    await this.#inTurn(member, topic, async (entry) => {
      const grant = await authorize();
      if (entry.subscription) await this.#sayWhere(member, topic, entry.subscription, entry.roster, ref);
      else await this.#enter(member, topic, entry, sinceIn, ref);
      entry.grant = grant;
    });
  }

  /**
   * Ends a subscription; the connection is sent an `unsubscribed` frame, also when there was none.
   *
   * @throws BelfryError `forbidden` when the connection's user is subscribed, `too_many`
   */
  async unsubscribe(connection: Connection, topic: string, ref?: FrameRef): Promise<void> {
    const member = this.#options.memberOf(connection);
    if (!member) return;
    if (!this.#entries.get(member)?.has(topic)) {
      sendUnsubscribed(connection, topic, ref);
      return;
    }
    await this.#inTurn(member, topic, async (entry) => {
      if (entry.isOfUser) throw new BelfryError("forbidden", "the user is subscribed to this topic, by the API");
      entry.grant = undefined;
      this.#leave(member, entry);
      sendUnsubscribed(connection, topic, ref);
    });
  }

  /** Ends what a connection listens to only because of the token that it had, and not by the one that it has. */
  recheck(connection: Connection): void {
    const member = this.#options.memberOf(connection);
    if (!member) return;
    const patterns = connection.token?.topics ?? [];
    for (const topic of this.#entries.get(member)?.keys() ?? []) {
      if (namesTopic(patterns, topic)) continue;
      void this.#inTurn(member, topic, async (entry) => {
        if (entry.grant !== "token") return;
        entry.grant = undefined;
        if (entry.isOfUser) return;
        this.#leave(member, entry);
        sendUnsubscribed(connection, topic);
      }).catch(() => connection.close("too_many", "its topics are changed too often"));
    }
  }

  /** The topics that a connection listens to because its user is subscribed. */
  ofUser(connection: Connection): string[] {
    const member = this.#options.memberOf(connection);
    const entries = member && this.#entries.get(member);
    return [...(entries ?? [])].flatMap(([topic, { isOfUser }]) => (isOfUser ? topic : []));
  }

  /** A connection's places in topics. */
  subscriptionsOf(member: Member): Subscription[] {
    const entries = this.#entries.get(member)?.values() ?? [];
    return [...entries].flatMap(({ subscription }) => subscription ?? []);
  }

  /** Puts a connection into a topic that its user is subscribed to. Rejects with BelfryError. */
  async enterAsUser(connection: Connection, topic: string, sinceIn: SinceIn): Promise<void> {
    const member = this.#options.memberOf(connection);
    if (!member) return;
    await this.#inTurn(member, topic, async (entry) => {
      if (!entry.subscription) await this.#enter(member, topic, entry, sinceIn);
      entry.isOfUser = true;
    });
  }

  /** Ends what {@link enterAsUser} began; what the connection has asked for itself goes on. Rejects with BelfryError. */
  async leaveAsUser(connection: Connection, topic: string): Promise<void> {
    const member = this.#options.memberOf(connection);
    if (!member) return;
    await this.#inTurn(member, topic, async (entry) => {
      entry.isOfUser = false;
      if (entry.grant) return;
      this.#leave(member, entry);
      sendUnsubscribed(connection, topic);
    });
  }

  /** Takes a connection out of all its topics. */
  leaveAll(member: Member): void {
    for (const entry of this.#entries.get(member)?.values() ?? []) this.#leave(member, entry);
    this.#entries.delete(member);
  }

  /** Makes a change to a connection's place in a topic after those that were begun before. */
  async #inTurn(member: Member, topic: string, change: (entry: Entry) => Promise<void>): Promise<void> {
    const entry = this.#entryOf(member, topic);
    if (entry.changes >= maxChanges) throw new BelfryError("too_many", "this topic is changed too often");
    entry.changes++;
    const mine = entry.last.then(() => change(entry));
    entry.last = mine.catch(() => {});
    try {
      await mine;
    } finally {
      entry.changes--;
      if (entry.changes === 0 && !entry.subscription) this.#forget(member, topic, entry);
    }
  }

  #entryOf(member: Member, topic: string): Entry {
    let entries = this.#entries.get(member);
    const known = entries?.get(topic);
    if (known) return known;
    if (!entries) {
      entries = new Map();
      this.#entries.set(member, entries);
    }
    const entry = {
      subscription: undefined,
      roster: undefined,
      grant: undefined,
      isOfUser: false,
      last: Promise.resolve(),
      changes: 0,
    };
    entries.set(topic, entry);
    return entry;
  }

  #forget(member: Member, topic: string, entry: Entry): void {
    const entries = this.#entries.get(member);
    if (entries?.get(topic) !== entry) return;
    entries.delete(topic);
    if (entries.size === 0) this.#entries.delete(member);
  }

  /** Says again where a connection is in a topic, once it has been given what it missed. */
  async #sayWhere(
    member: Member,
    topic: string,
    subscription: Subscription,
    roster: Roster | undefined,
    ref: FrameRef | undefined,
  ): Promise<void> {
    await subscription.live();
    if (member.connection.gone) return;
    // What is said is where the connection is, so it must have been handed everything up to there.
    const { fanOut, position } = subscription.subscribed;
    fanOut.flush(member);
    sendSubscribed(member.connection, topic, position, { roster, ref });
  }

  /** Puts a connection into a topic. */
  async #enter(member: Member, topic: string, entry: Entry, sinceIn: SinceIn, ref?: FrameRef): Promise<void> {
    const { streams, reader, receipts, rosters, onResume } = this.#options;
    const { connection } = member;
    const admitted = await admitTo(topicStream(topic), sinceIn, streams, reader);
    const { subscribed, plan } = admitted;
    const roster = connection.gone ? undefined : await rosters.open(topic);
    if (connection.gone) {
      roster?.release();
      streams.release(subscribed);
      return;
    }
    if (plan) onResume?.(plan.recovered);
    sendSubscribed(connection, topic, plan?.from ?? subscribed.position, { recovered: plan?.recovered, roster, ref });
    entry.subscription = new Subscription(member, admitted, { reader, receipts });
    this.#size++;
    entry.roster = roster;
    if (connection.user !== null) roster?.join(connection.user);
    // Slow already: it was unregistered meanwhile.
    if (connection.gone) this.#leave(member, entry);
  }

  #leave({ connection }: Member, entry: Entry): void {
    const { subscription } = entry;
    if (!subscription) return;
    entry.subscription = undefined;
    this.#size--;
    if (connection.user !== null) entry.roster?.leave(connection.user);
    entry.roster?.release();
    entry.roster = undefined;
    subscription.end(this.#options.receipts);
    this.#options.streams.release(subscription.subscribed);
  }
}

function sendSubscribed(
  connection: Connection,
  topic: string,
  position: Position | undefined,
  {
    recovered,
    roster,
    ref,
  }: { recovered?: boolean | undefined; roster: Roster | undefined; ref: FrameRef | undefined },
): void {
  const id = formatId("topic", position ?? { epoch: "0", offset: 0 });
  const users = roster?.users.slice(0, maxUsersTold);
  connection.send({ type: "subscribed", topic, position: id, recovered, users, ref });
}

function sendUnsubscribed(connection: Connection, topic: string, ref?: FrameRef): void {
  connection.send({ type: "unsubscribed", topic, ref });
}
