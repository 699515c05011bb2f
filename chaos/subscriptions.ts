import type { Checker } from "./checker.ts";
import type { Random } from "./random.ts";
import type { Tally } from "./report.ts";
import { isKept, isOfService, streamOf, topics } from "./topics.ts";

/** What {@link Subscriptions} need beside themselves. */
export interface SubscriptionsOptions {
  /** Name of the client. */
  readonly name: string;
  readonly checker: Checker;
  readonly tally: Tally;
  readonly random: Random;
  /** Sends a frame; false when it may not have come, so that it has to be sent again. */
  readonly send: (frame: object) => Promise<boolean>;
}

/** A frame of the server that concerns topics. */
export interface TopicFrame {
  readonly type: string;
  readonly topic?: string;
  readonly position?: string;
  readonly recovered?: boolean;
  readonly ref?: number;
  readonly code?: string;
}

/** A frame that was sent and asks for a change. */
interface Asked {
  readonly topic: string;
  readonly since: string | undefined;
}

/** Share of its own topics that a client wants at a time. */
const wantedShare = 0.5;

/** How likely a client changes its mind about one of its own topics, each time that it is asked. */
const changeShare = 0.05;

/** And how likely it then is that it only leaves and comes back, without waiting for the answer in between. */
const turnShare = 0.3;

/** One client's topics: those that it wants are subscribed to, on each connection anew, from where it was. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #wanted = new Set<string>();
  /** Those that this connection is subscribed to, by whomever. */
  readonly #subscribed = new Set<string>();
  /** The last id of each topic. */
  readonly #since = new Map<string, string>();
  /** What the URL of this connection names, until it is used. */
  #named = new Map<string, string>();
  /** What this connection has asked for, by ref; an answer may come when the question is given up already. */
  readonly #asked = new Map<number, Asked>();
  /** The refs of the answers that are waited for, by topic. */
  readonly #awaited = new Map<string, number>();
  #ref = 0;
  #isSettled = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    for (const topic of topics.own) if (options.random.chance(wantedShare)) this.#wanted.add(topic);
  }

  /** A connection is begun; returns the ids to resume the topics from that the service has subscribed the user to. */
  begin(): string[] {
    this.#subscribed.clear();
    this.#asked.clear();
    this.#awaited.clear();
    this.#named = new Map([...this.#since].filter(([topic]) => isOfService(topic)));
    return [...this.#named.values()];
  }

  /** The connection has ended. */
  end(): void {
    this.#options.checker.disconnected(this.#options.name);
  }

  /** Asks for what is wanted and not there, and for the end of what is there and not wanted. */
  pursue(): void {
    for (const topic of topics.own) {
      const isWanted = this.#wanted.has(topic);
      if (isWanted !== this.#subscribed.has(topic) && !this.#awaited.has(topic)) this.#ask(topic, isWanted);
    }
  }

  /** Changes its mind now and then. @param isOrdered frames arrive in the order in which they are sent */
  waver(isOrdered: boolean): void {
    const { random } = this.#options;
    if (this.#isSettled || !random.chance(changeShare)) return;
    const topic = random.pick(topics.own);
    if (isOrdered && this.#subscribed.has(topic) && random.chance(turnShare)) {
      this.#wanted.add(topic);
      this.#ask(topic, false);
      this.#ask(topic, true);
    } else if (!this.#wanted.delete(topic)) {
      this.#wanted.add(topic);
    }
  }

  /** Changes its mind no more. */
  settle(): void {
    this.#isSettled = true;
  }

  /** The streams that it must be subscribed to in the end, apart from those of the service. */
  get wanted(): string[] {
    return [...this.#wanted].map(streamOf);
  }

  /** Takes a frame; false when it is none that concerns topics, or none that should come. */
  take(frame: TopicFrame): boolean {
    const { topic, ref } = frame;
    const asked = ref === undefined ? undefined : this.#asked.get(ref);
    if (asked && this.#awaited.get(asked.topic) === ref) this.#awaited.delete(asked.topic);
    // Redis is away: it is asked again later.
    if (frame.type === "error") return asked !== undefined && frame.code === "failed";
    const isExpected = topic !== undefined && (asked ? asked.topic === topic : isOfService(topic));
    if (!isExpected) return false;
    if (frame.type === "subscribed") this.#enter(topic, frame, asked);
    else if (frame.type === "unsubscribed") this.#leave(topic);
    else return false;
    return true;
  }

  /** A message came. */
  delivered(topic: string, id: string): void {
    this.#since.set(topic, id);
  }

  #enter(topic: string, { position = "", recovered }: TopicFrame, asked: Asked | undefined): void {
    const { name, checker, tally } = this.#options;
    const isByService = asked === undefined;
    let since = isByService ? this.#named.get(topic) : asked.since;
    this.#named.delete(topic);
    // It was taken back and given again while this client was away: then it may well begin live.
    if (isByService && !isKept(topic) && recovered === undefined) since = undefined;
    if (recovered !== undefined) tally.count("topics", recovered ? "recovered" : "not recovered");
    else tally.count("topics", this.#subscribed.has(topic) ? "again" : "live");
    checker.subscribed(name, streamOf(topic), { since, position, recovered, isByService });
    this.#subscribed.add(topic);
    this.#since.set(topic, position);
  }

  #leave(topic: string): void {
    const { name, checker, tally } = this.#options;
    tally.count("topics", "left");
    // A flush takes the subscriptions of users as well.
    if (isKept(topic) && checker.flushes === 0) {
      checker.violate({ kind: "subscription", client: name, stream: streamOf(topic), detail: "was taken out of it" });
    }
    this.#subscribed.delete(topic);
    if (isOfService(topic)) this.#since.delete(topic);
    checker.unsubscribed(name, streamOf(topic));
  }

  #ask(topic: string, isWanted: boolean): void {
    const ref = ++this.#ref;
    const since = isWanted ? this.#since.get(topic) : undefined;
    this.#asked.set(ref, { topic, since });
    this.#awaited.set(topic, ref);
    const frame = { type: isWanted ? "subscribe" : "unsubscribe", topic, ref, since };
    void this.#options.send(frame).then((isSent) => {
      if (!isSent && this.#awaited.get(topic) === ref) this.#awaited.delete(topic);
    });
  }
}
