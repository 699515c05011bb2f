import { setTimeout as pause } from "node:timers/promises";
import { hush } from "../test/support/secrets.ts";
import { type Answer, call, pathOf } from "./api.ts";
import type { Checker } from "./checker.ts";
import type { Random } from "./random.ts";
import type { Tally } from "./report.ts";
import { topicStreams } from "./topics.ts";

/** What a publisher needs beside itself. */
export interface PublisherOptions {
  /** Without a hyphen: it begins every key. */
  readonly name: string;
  readonly checker: Checker;
  readonly tally: Tally;
  readonly random: Random;
  readonly port: () => number;
  /** Streams of the users. */
  readonly streams: readonly string[];
  /** Mean time between two messages, in ms. */
  readonly everyMs: number;
}

/** Shares of the messages that go to everybody and to topics; the others go to users. */
const broadcastShare = 0.35;
const topicShare = 0.2;

/** Share of the calls that are made twice at once, as by an impatient caller, to see whether one message comes of it. */
const doubledShare = 0.1;

/** Answers that say "later": unavailable, and those to a request that did not come through whole. */
const retried = [400, 408, 502, 503];

/** Backoff between two tries, in ms; the first is up to this, and each one doubles. */
const backoffMs = 30;
const maxBackoffMs = 500;

const maxPadding = 2000;

/** A backend: one message after the other, each repeated under its key until it is answered with 202. */
export class Publisher {
  readonly #options: PublisherOptions;
  #sequence = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Publishes at its rate until the signal comes; resolves when the last message is through. */
  async run(signal: AbortSignal): Promise<void> {
    const { random, everyMs } = this.#options;
    let dueMs = performance.now();
    while (!signal.aborted) {
      dueMs = Math.max(dueMs + random.next() * 2 * everyMs, performance.now() - 10 * everyMs);
      await pause(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      await this.publish(this.#chooseStream());
    }
  }

  #chooseStream(): string {
    const { random, streams } = this.#options;
    const chosen = random.next();
    if (chosen < broadcastShare) return "broadcast";
    return random.pick(chosen < broadcastShare + topicShare ? topicStreams : streams);
  }

  /** Publishes one message; resolves when it is accepted. */
  async publish(stream: string): Promise<void> {
    const { name, random, tally } = this.#options;
    const key = `${name}-${++this.#sequence}`;
    const body = JSON.stringify({ data: { key, padding: hush("x".repeat(random.between(0, maxPadding))) } });
    for (let attempt = 0; ; attempt++) {
      const tries = random.chance(doubledShare) ? 2 : 1;
      const accepted = await Promise.all(Array.from({ length: tries }, () => this.#try(stream, key, body)));
      if (accepted.includes(true)) break;
      await pause(random.next() * Math.min(maxBackoffMs, backoffMs * 2 ** attempt));
    }
    tally.count("publishes", stream.split(":", 1).join());
  }

  /** True when it was accepted. */
  async #try(stream: string, key: string, body: string): Promise<boolean> {
    const { checker, tally, port } = this.#options;
    const { flushes } = checker;
    const answer = await call(port(), "POST", pathOf(stream), body, { "Idempotency-Key": key }).catch(() => undefined);
    tally.count("calls", outcomeOf(answer));
    if (answer?.status === 202) {
      checker.published(stream, (JSON.parse(answer.text) as { id: string }).id, key, flushes);
      return true;
    }
    if (answer && !retried.includes(answer.status)) {
      checker.violate({ kind: "protocol", stream, detail: `${key} was answered ${answer.status} ${answer.text}` });
    }
    return false;
  }
}

function outcomeOf(answer: Answer | undefined): string {
  if (!answer) return "no answer";
  return answer.replayed ? `${answer.status} replayed` : String(answer.status);
}
