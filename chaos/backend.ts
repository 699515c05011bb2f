import { setTimeout as pause } from "node:timers/promises";
import { call } from "./api.ts";
import type { Checker } from "./checker.ts";
import type { Random } from "./random.ts";
import type { Tally } from "./report.ts";
import { isKept, streamOf, topics } from "./topics.ts";
import { until } from "./until.ts";

/** What a {@link Backend} needs beside itself. */
export interface BackendOptions {
  readonly checker: Checker;
  readonly tally: Tally;
  readonly random: Random;
  readonly port: () => number;
  readonly users: readonly string[];
}

/** Share of the users that are subscribed to a topic at once. */
const keptShare = 0.3;

/** Changes are made side by side, of different users: one that hangs keeps the others waiting for nothing. */
const laneCount = 5;

/** Mean time between two changes of one lane, in ms. */
const everyMs = 1000;

/** Pause before a change is tried again, in ms. */
const retryMs = 200;

/** The service's own side of topics: it subscribes users, and takes some of that back. */
export class Backend {
  readonly #options: BackendOptions;
  /** Topics that users were subscribed to for good. */
  readonly #kept = new Map<string, Set<string>>();

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  /** Changes users' topics until the signal comes; resolves when the last change is through. */
  async run(signal: AbortSignal): Promise<void> {
    const { users } = this.#options;
    const lanes = Array.from({ length: laneCount }, (_, lane) => users.filter((_, i) => i % laneCount === lane));
    await Promise.all(lanes.filter(({ length }) => length > 0).map((lane) => this.#work(lane, signal)));
  }

  /**
   * Reads the streams of the topics that a user is subscribed to in the end.
   *
   * @throws Error when they cannot be read in time
   */
  async streamsOf(user: string, timeoutMs: number): Promise<string[]> {
    const { checker, port } = this.#options;
    let found: string[] = [];
    const isRead = async () => {
      const answer = await call(port(), "GET", `/users/${user}/topics`);
      if (answer.status === 200) found = (JSON.parse(answer.text) as { topics: string[] }).topics;
      return answer.status === 200;
    };
    await until(`the topics of ${user} can be read`, isRead, timeoutMs);
    for (const topic of this.#kept.get(user) ?? []) {
      // A flush takes them as well.
      if (found.includes(topic) || checker.flushes > 0) continue;
      const detail = `${user} was subscribed with 200, and is not any more`;
      checker.violate({ kind: "subscription", stream: streamOf(topic), detail });
    }
    return found.map(streamOf);
  }

  /** One change of these users after the other. */
  async #work(users: readonly string[], signal: AbortSignal): Promise<void> {
    const { random } = this.#options;
    // There should be something to resume from the beginning.
    for (const user of users) {
      if (random.chance(keptShare) && !signal.aborted) await this.#change("PUT", user, random.pick(topics.kept));
    }
    while (!signal.aborted) {
      const topic = random.pick([...topics.kept, ...topics.lent]);
      const user = random.pick(users);
      const isPut = isKept(topic) || random.chance(0.5);
      await this.#change(isPut ? "PUT" : "DELETE", user, topic);
      await pause(random.next() * 2 * everyMs, undefined, { signal }).catch(() => {});
    }
  }

  async #change(method: "PUT" | "DELETE", user: string, topic: string): Promise<void> {
    const { checker, tally, port } = this.#options;
    for (;;) {
      const answer = await call(port(), method, `/users/${user}/topics/${topic}`).catch(() => undefined);
      tally.count("changes", answer ? `${method} ${answer.status}` : "no answer");
      if (answer?.status === 200) break;
      if (answer && answer.status !== 503) {
        checker.violate({ kind: "protocol", stream: streamOf(topic), detail: `${method} answered ${answer.status}` });
      }
      await pause(retryMs);
    }
    if (!isKept(topic)) return;
    const kept = this.#kept.get(user) ?? new Set();
    this.#kept.set(user, kept.add(topic));
  }
}
