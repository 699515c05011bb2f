/**
 * True when one of the patterns names the topic. A pattern is a topic's name; with a `*` at its end it names all topics that
 * begin with what stands before it: `orders.*` names `orders.7` and `orders.7.items`, and `*` names every topic.
 */
export function namesTopic(patterns: readonly string[], topic: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? topic.startsWith(pattern.slice(0, -1)) : topic === pattern,
  );
}
