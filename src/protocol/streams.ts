/**
 * The three words for where a message goes.
 *
 * - `broadcast`: to every connection
 * - `user`: to all connections of one user
 * - `topic`: to the subscribers of one topic
 */
export type Scope = "broadcast" | "user" | "topic";

/** One sequence of messages with its own offsets: all broadcasts, one user's messages, or one topic's messages. */
export interface Stream {
  readonly scope: Scope;
  /** The user id or the topic; empty for the broadcast stream. */
  readonly name: string;
  /** Unique text form: `b`, `u:USER` or `t:TOPIC`. Brokers name channels and keys by it. */
  readonly key: string;
}

const letters = { broadcast: "b", user: "u", topic: "t" } as const;

/** The letter that stands for a scope in stream keys and message ids. */
export function scopeLetter(scope: Scope): "b" | "u" | "t" {
  return letters[scope];
}

/** The one stream of all broadcasts. */
export const broadcastStream: Stream = { scope: "broadcast", name: "", key: "b" };

/** The stream that a key names; undefined when it names none. */
export function parseStreamKey(key: string): Stream | undefined {
  if (key === broadcastStream.key) return broadcastStream;
  if (key.startsWith("u:")) return userStream(key.slice(2));
  return key.startsWith("t:") ? topicStream(key.slice(2)) : undefined;
}

/** The stream of one user's messages. */
export function userStream(user: string): Stream {
  return { scope: "user", name: user, key: `u:${user}` };
}

/** The stream of one topic's messages. */
export function topicStream(topic: string): Stream {
  return { scope: "topic", name: topic, key: `t:${topic}` };
}
