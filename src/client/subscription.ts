import type { Message } from "./frames.ts";

/** A topic that the client listens to, until {@link unsubscribe}: over all connections. */
export interface Subscription {
  readonly topic: string;
  /**
   * Resolves when the service has subscribed the client for the first time, with the users who are there where the topic
   * tells that; rejects with BelfryClientError when it may not be.
   */
  readonly ready: Promise<readonly string[] | undefined>;
  /** Ends it; the topic itself is left with its last subscription. */
  unsubscribe(): void;
}

/** One topic, with all who listen to it here. */
export class Topic {
  readonly listeners = new Set<(message: Message) => void>();
  readonly ready = Promise.withResolvers<readonly string[] | undefined>();

  constructor() {
    this.ready.promise.catch(() => {});
  }
}
