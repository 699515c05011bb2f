import { setTimeout as pause } from "node:timers/promises";
import type { Hub } from "./hub.ts";

/** Part of the window over which connections are told to go; the rest is for their answers. */
const spread = 0.9;

/** Longest pause between two steps, in ms. */
const stepMs = 50;

/**
 * Closes all connections with 1001, evenly spread over a window, so that they do not come back all at once. The reason is
 * the window in ms, over which the clients spread their return in turn.
 *
 * @param windowMs 0: at once
 */
export async function drainConnections(hub: Hub, windowMs: number): Promise<void> {
  const connections = [...hub.connections];
  const start = performance.now();
  for (const [index, connection] of connections.entries()) {
    const dueMs = (index / connections.length) * windowMs * spread;
    while (performance.now() - start < dueMs && hub.size > 0) {
      await pause(Math.min(stepMs, dueMs - (performance.now() - start)));
    }
    connection.close("going_away", String(windowMs));
  }
}
