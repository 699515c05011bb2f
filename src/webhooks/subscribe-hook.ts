import { randomUUID } from "node:crypto";
import { BelfryError } from "../errors.ts";
import type { Log } from "../log.ts";
import { SignedPost } from "./signed-post.ts";

/** Who wants to subscribe to what. */
export interface SubscribeQuestion {
  readonly user: string;
  readonly topic: string;
  /** Id of the connection. */
  readonly connection: string;
}

/** Settings of {@link SubscribeHook}. */
export interface SubscribeHookOptions {
  readonly url: URL;
  readonly secret: string;
  readonly log: Log;
  /** Questions on their way at once. Default: 1,000. */
  readonly maxOpen?: number;
}

/** Time for an answer, in ms. */
const timeoutMs = 3000;

/** Most bytes of an answer that are read: its status says all. */
const maxAnswerBytes = 1024;

/** Asks the backend whether a user may subscribe to a topic: 2xx is yes, 403 is no, anything else is no answer. */
export class SubscribeHook {
  readonly #post: SignedPost;
  readonly #log: Log;
  readonly #maxOpen: number;
  #open = 0;

  constructor({ url, secret, log, maxOpen = 1000 }: SubscribeHookOptions) {
    this.#post = new SignedPost(url, secret);
    this.#log = log;
    this.#maxOpen = maxOpen;
  }

  /** @throws BelfryError `unavailable` when the backend does not answer, or too many questions wait for it */
  async allows(question: SubscribeQuestion): Promise<boolean> {
    if (this.#open >= this.#maxOpen) throw notAnswered();
    this.#open++;
    try {
      return await this.#ask(question);
    } finally {
      this.#open--;
    }
  }

  async #ask(data: SubscribeQuestion): Promise<boolean> {
    const body = JSON.stringify({ type: "belfry.subscribe", timestamp: new Date().toISOString(), data });
    const { host } = this.#post;
    try {
      const { status } = await this.#post.send(`subscribe_${randomUUID()}`, body, { timeoutMs, maxAnswerBytes });
      if (status >= 200 && status < 300) return true;
      if (status === 403) return false;
      this.#log.warn({ host, status }, "the subscribe hook did not say yes or no");
    } catch (error) {
      this.#log.warn({ host, reason: (error as Error).message }, "the subscribe hook did not answer");
    }
    throw notAnswered();
  }
}

function notAnswered(): BelfryError {
  return new BelfryError("unavailable", "whether this topic may be subscribed to cannot be found out now", {
    retryAfterSeconds: 1,
  });
}
