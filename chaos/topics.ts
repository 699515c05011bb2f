/** The topics of a run, by who subscribes to them: no topic has two who could be in each other's way. */
export const topics = {
  /** Clients subscribe by frames, and unsubscribe now and then. */
  own: ["own-0", "own-1", "own-2", "own-3"],
  /** The service subscribes users to them for good. */
  kept: ["kept-0", "kept-1"],
  /** The service subscribes users to them, and takes it back. */
  lent: ["lent-0", "lent-1"],
} as const;

/** The streams of all topics. */
export const topicStreams: readonly string[] = Object.values(topics).flat().map(streamOf);

/** The stream of a topic. */
export function streamOf(topic: string): string {
  return `topic:${topic}`;
}

/** Whether the service subscribes users to a topic. */
export function isOfService(topic: string): boolean {
  return !isIn(topics.own, topic);
}

/** Whether it never takes that back. */
export function isKept(topic: string): boolean {
  return isIn(topics.kept, topic);
}

function isIn(names: readonly string[], topic: string): boolean {
  return names.includes(topic);
}
