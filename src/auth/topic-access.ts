import type { Credentials } from "../credentials.ts";
import { BelfryError } from "../errors.ts";
import { namesTopic } from "../protocol/topic-patterns.ts";

/** Settings of {@link TopicAccess}. */
export interface TopicAccessOptions {
  readonly authMode: "none" | "jwt";
  /** Topics that everybody may subscribe to, and patterns of them; default: none. */
  readonly publicTopics?: readonly string[] | undefined;
}

/** Decides who may subscribe to which topic. */
export class TopicAccess {
  readonly #options: TopicAccessOptions;

  constructor(options: TopicAccessOptions) {
    this.#options = options;
  }

  /**
   * @returns `open` where it is allowed whatever token the client has, `token` where that is what allows it
   * @throws BelfryError `forbidden`
   */
  async authorize({ user, token }: Credentials, topic: string): Promise<"open" | "token"> {
    const { authMode, publicTopics = [] } = this.#options;
    if (namesTopic(publicTopics, topic)) return "open";
    // Nobody has checked who the user is, so there is nothing to keep from one that others could not claim to be.
    if (user !== null && authMode === "none") return "open";
    if (token && namesTopic(token.topics ?? [], topic)) return "token";
    throw new BelfryError("forbidden", "this topic may not be subscribed to with these credentials");
  }
}
