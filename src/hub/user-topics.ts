import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import { BelfryError } from "../errors.ts";
import type { Position } from "../protocol/positions.ts";
import { sinceAmong } from "../protocol/since.ts";
import { type Stream, userStream } from "../protocol/streams.ts";
import { isName, nameExpected } from "../protocol/user-ids.ts";
import type { Connection } from "./connection.ts";
import type { Topics } from "./topics.ts";

/** What {@link UserTopics} works with. */
export interface UserTopicsOptions {
  readonly broker: Broker;
  readonly topics: Topics;
  readonly connectionsTo: (stream: Stream) => readonly Connection[];
  /** Topics that one user may be subscribed to. */
  readonly maxSubscriptions: number;
}

/** To a user's stream: the topics that the user is subscribed to have changed. Answer: how many connections follow now. */
interface UserTopicsQuestion {
  readonly kind: "topics";
}

/** A connection is being brought to its user's topics. */
interface Application {
  /** The topics may have changed since they were read. */
  isStale: boolean;
  readonly done: Promise<void>;
}

/** Connections that are brought to their topics at a time after the broker was away: it has other things to do as well. */
const maxAtOnce = 100;

/** Pause before the topics of a user are read again after they could not be, in ms. */
const retryMs = 500;

/** The topics that users are subscribed to by the service: kept by the broker, and applied to every connection of the user. */
export class UserTopics {
  readonly #options: UserTopicsOptions;
  readonly #applying = new Map<Connection, Application>();
  /** Those that {@link applyAgain} has still to see to. */
  readonly #due = new Set<Connection>();
  #workers = 0;

  constructor(options: UserTopicsOptions) {
    this.#options = options;
  }

  /**
   * Subscribes a user: every connection of the user, now and later, on every replica, is subscribed to the topic.
   *
   * @returns how many connections there are now
   * @throws BelfryError `invalid` when the user has too many topics or the topic is no name, `unavailable`
   */
  async add(user: string, topic: string): Promise<number> {
    checkNames({ user, topic });
    await this.#options.broker.addUserTopic(user, topic, this.#options.maxSubscriptions);
    return this.#applyEverywhere(user);
  }

  /**
   * Ends what {@link add} began.
   *
   * @returns how many connections the user has now
   * @throws BelfryError `invalid` when the topic is no name, `unavailable`
   */
  async remove(user: string, topic: string): Promise<number> {
    checkNames({ user, topic });
    await this.#options.broker.removeUserTopic(user, topic);
    return this.#applyEverywhere(user);
  }

  /** Answers a replica's question, this one's own among them; undefined when it is not about the topics of a user. */
  answer(stream: Stream, question: unknown): Promise<number> | undefined {
    if ((question as UserTopicsQuestion | null)?.kind !== "topics") return undefined;
    const connections = this.#options.connectionsTo(stream);
    return Promise.all(connections.map((connection) => this.apply(connection))).then(() => connections.length);
  }

  /** The topics that a user is subscribed to. Rejects with `unavailable`. */
  async of(user: string): Promise<string[]> {
    return (await this.#options.broker.userTopics(user)).toSorted();
  }

  /**
   * Brings a registered connection to the topics that its user is subscribed to, and out of those that the user is not any
   * more. Resolves when that is done or the connection has gone; never rejects.
   *
   * @param since what the connection has of them
   */
  async apply(connection: Connection, since: readonly Position[] = []): Promise<void> {
    if (connection.user === null) return undefined;
    const known = this.#applying.get(connection);
    if (known) {
      known.isStale = true;
      return known.done;
    }
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const application = { isStale: true, done };
    this.#applying.set(connection, application);
    await this.#apply(connection, connection.user, since, application);
    this.#applying.delete(connection);
    resolve();
    return undefined;
  }

  async #applyEverywhere(user: string): Promise<number> {
    const question: UserTopicsQuestion = { kind: "topics" };
    const { answers } = await this.#options.broker.ask(userStream(user), question);
    return (answers as number[]).reduce((sum, connections) => sum + connections, 0);
  }

  /**
   * Brings registered connections to their users' topics that may have missed a change, because their replica could not be
   * told of it. Never throws.
   */
  applyAgain(connections: readonly Connection[]): void {
    for (const connection of connections) this.#due.add(connection);
    while (this.#workers < Math.min(maxAtOnce, this.#due.size)) void this.#work();
  }

  async #work(): Promise<void> {
    this.#workers++;
    for (const connection of this.#due) {
      this.#due.delete(connection);
      if (!connection.gone) await this.apply(connection);
    }
    this.#workers--;
  }

  async #apply(
    connection: Connection,
    user: string,
    since: readonly Position[],
    application: Application,
  ): Promise<void> {
    while (application.isStale && !connection.gone) {
      application.isStale = false;
      if (await this.#applyOnce(connection, user, since).catch(() => false)) continue;
      application.isStale = true;
      await pause(retryMs);
    }
  }

  async #applyOnce(connection: Connection, user: string, since: readonly Position[]): Promise<boolean> {
    const { broker, topics } = this.#options;
    const wanted = await broker.userTopics(user);
    const applied = topics.ofUser(connection);
    const sinceIn = sinceAmong(since);
    const begun = wanted.filter((topic) => !applied.includes(topic));
    const ended = applied.filter((topic) => !wanted.includes(topic));
    const changes = [
      ...begun.map((topic) => topics.enterAsUser(connection, topic, sinceIn)),
      ...ended.map((topic) => topics.leaveAsUser(connection, topic)),
    ];
    return (await Promise.allSettled(changes)).every(({ status }) => status === "fulfilled");
  }
}

/** @throws BelfryError `invalid` */
function checkNames(names: Readonly<Record<string, string>>): void {
  const wrong = Object.keys(names).filter((path) => !isName(names[path] ?? ""));
  if (wrong.length === 0) return;
  const errors = wrong.map((path) => ({ path, message: nameExpected }));
  throw new BelfryError("invalid", "the subscription is not valid", { errors });
}
