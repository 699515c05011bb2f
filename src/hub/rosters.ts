import type { Broker } from "../broker/broker.ts";
import { type Stream, topicStream } from "../protocol/streams.ts";
import { namesTopic } from "../protocol/topic-patterns.ts";
import type { Presence } from "./presence.ts";
import { Roster } from "./roster.ts";

/** What {@link Rosters} works with. */
export interface RostersOptions {
  readonly broker: Pick<Broker, "ask">;
  readonly presence: Pick<Presence, "stats">;
  /** Name of this replica, unique among those that share the broker. */
  readonly replica: string;
  /** Topics that tell who joins and who leaves, and patterns of them; default: none. */
  readonly presenceTopics?: readonly string[] | undefined;
  /** Tells the topic's subscribers on this replica that a user has joined or left. */
  readonly tell: (stream: Stream, event: "join" | "leave", user: string) => void;
}

/** What replicas tell each other about a topic, by a question to its stream. */
type RosterQuestion = { readonly kind: "roster"; readonly replica: string } & (
  | {
      /** The user's first connection to the replica has come, or the last has gone. */ readonly user: string;
      readonly isHere: boolean;
    }
  | {
      /** All users that are connected to the replica. Answer: {@link RosterAnswer}. */
      readonly users: readonly string[];
    }
);

/** The users of a topic on one replica. */
interface RosterAnswer {
  readonly replica: string;
  readonly users: readonly string[];
}

/** Pause between two looks at which replicas there are, in ms. */
const lookIntervalMs = 1000;

/** Looks in a row at which a replica was missing, after which it is gone. */
const maxMisses = 2;

/** Replicas that have gone and may come back; of more the oldest are forgotten. */
const maxGone = 1000;

/**
 * Who is there, for the topics that tell it. The replicas that have subscribers of a topic tell each other of each user's
 * first and last connection, and everything anew after they were cut off; a replica that has died is missed within seconds,
 * and its users have left then. Only while they have subscribers, so that nothing is left behind.
 */
export class Rosters {
  readonly #options: RostersOptions;
  readonly #rosters = new Map<string, Roster>();
  /** Looks in a row at which a replica was missing, oldest first. */
  readonly #misses = new Map<string, number>();
  #looking: NodeJS.Timeout | undefined;

  constructor(options: RostersOptions) {
    this.#options = options;
  }

  /**
   * The roster of a topic that this replica is subscribed to, complete as far as the others answer; undefined for a topic
   * that does not tell who is there. It is held, and must be released.
   */
  async open(topic: string): Promise<Roster | undefined> {
    const { presenceTopics = [], tell } = this.#options;
    if (!namesTopic(presenceTopics, topic)) return undefined;
    let roster = this.#rosters.get(topic);
    if (!roster) {
      const stream = topicStream(topic);
      roster = new Roster({
        changed: (user, isThere) => tell(stream, isThere ? "join" : "leave", user),
        announce: (user, isHere) => this.#announce(stream, user, isHere),
        closed: () => this.#rosters.delete(topic),
      });
      this.#rosters.set(topic, roster);
      roster.opened = this.#synchronize(stream, roster);
      this.#looking ??= setInterval(() => void this.#look(), lookIntervalMs);
    }
    roster.hold();
    await roster.opened;
    return roster;
  }

  /** Answers what another replica tells, or this one; undefined when it is not about who is there. */
  answer({ name }: Stream, told: unknown): RosterAnswer | true | undefined {
    if ((told as RosterQuestion | null)?.kind !== "roster") return undefined;
    const question = told as RosterQuestion;
    const roster = this.#rosters.get(name);
    const { replica } = this.#options;
    if ("users" in question) {
      if (question.replica !== replica) roster?.replace(question.replica, question.users);
      return { replica, users: roster?.usersHere ?? [] };
    }
    if (question.replica !== replica) roster?.change(question.replica, question.user, question.isHere);
    return true;
  }

  /** The broker was reached again: what was told meanwhile may be lost, in both directions. */
  resynchronize(): void {
    for (const [topic, roster] of this.#rosters) void this.#synchronize(topicStream(topic), roster);
  }

  close(): void {
    clearInterval(this.#looking);
  }

  #announce(stream: Stream, user: string, isHere: boolean): void {
    const { broker, replica } = this.#options;
    const question: RosterQuestion = { kind: "roster", replica, user, isHere };
    // Whatever is lost while the broker is away is told anew when it is back.
    broker.ask(stream, question, { timeoutMs: 0 }).catch(() => {});
  }

  async #synchronize(stream: Stream, roster: Roster): Promise<void> {
    const { broker, replica } = this.#options;
    const question: RosterQuestion = { kind: "roster", replica, users: roster.usersHere };
    const finish = roster.beginAsking();
    const asked = await broker.ask(stream, question).catch(() => undefined);
    const answers = (asked?.answers ?? []) as RosterAnswer[];
    finish(answers.filter((answer) => answer.replica !== replica));
  }

  /** Sees which replicas there are, and lets the users of those that are missing leave. */
  async #look(): Promise<void> {
    // Whoever opens the next one asks everybody, those too that have come back.
    if (this.#rosters.size === 0) this.#misses.clear();
    const known = new Set([...this.#rosters.values()].flatMap(({ replicas }) => [...replicas]));
    if (known.size === 0 && this.#misses.size === 0) return;
    const stats = await this.#options.presence.stats().catch(() => undefined);
    if (!stats) return;
    const there = new Set(stats.map(({ replica }) => replica));
    for (const replica of known) if (!there.has(replica)) this.#missed(replica);
    for (const replica of there) this.#found(replica);
  }

  #missed(replica: string): void {
    const misses = (this.#misses.get(replica) ?? 0) + 1;
    this.#misses.set(replica, misses);
    if (misses < maxMisses) return;
    for (const roster of this.#rosters.values()) roster.replace(replica, []);
    const [oldest] = this.#misses.keys();
    if (this.#misses.size > maxGone && oldest !== undefined) this.#misses.delete(oldest);
  }

  /** A replica that was taken to be gone has not heard of that. */
  #found(replica: string): void {
    const misses = this.#misses.get(replica);
    if (misses === undefined) return;
    this.#misses.delete(replica);
    if (misses >= maxMisses) this.resynchronize();
  }
}
