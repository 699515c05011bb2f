import type { Credentials } from "../credentials.ts";
import { BelfryError } from "../errors.ts";
import { namesTopic } from "../protocol/topic-patterns.ts";

/** Asks the backend whether a user may subscribe to a topic; rejects with BelfryError `unavailable`. */
interface SubscribeHook {
  allows(question: { user: string; topic: string; connection: string }): Promise<boolean>;
}

/** Settings of {@link TopicAccess}. */
export interface TopicAccessOptions {
  readonly authMode: "none" | "jwt";
  /** Topics that everybody may subscribe to, and patterns of them; default: none. */
  readonly publicTopics?: readonly string[] | undefined;
  /** Asked where neither that nor the token allows it; default: nobody is asked. */
  readonly hook?: SubscribeHook | undefined;
}

/** Decides who may subscribe to which topic. */
export class TopicAccess {
  readonly #options: TopicAccessOptions;

  constructor(options: TopicAccessOptions) {
    this.#options = options;
  }

  /**
   * @param client what it was let in with, and the id of its connection
   * @returns `open` where it is allowed whatever token the client has, `token` where that is what allows it
   * @throws BelfryError `forbidden`; `unavailable` when the backend did not answer
   */
  async authorize(
    { id, user, token }: Credentials & { readonly id: string },
    topic: string,
  ): Promise<"open" | "token"> {
    const { authMode, publicTopics = [], hook } = this.#options;
    if (namesTopic(publicTopics, topic)) return "open";
    if (token && namesTopic(token.topics ?? [], topic)) return "token";
    if (user !== null && hook && (await hook.allows({ user, topic, connection: id }))) return "open";
    // Nobody has checked who the user is, so there is nothing to keep from one that others could not claim to be.
    if (user !== null && !hook && authMode === "none") return "open";
    throw new BelfryError("forbidden", "this topic may not be subscribed to with these credentials");
  }
}
