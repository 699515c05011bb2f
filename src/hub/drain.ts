import { setTimeout as pause } from "node:timers/promises";
import type { Hub } from "./hub.ts";

/** Part of the window over which connections are told to go; the rest is for their answers. */
const spread = 0.9;

/** Longest pause between two looks at whether anybody is left, in ms. */
const maxPauseMs = 50;

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
    const dueMs = start + (index / connections.length) * windowMs * spread;
    for (let left = dueMs - performance.now(); left > 0 && hub.size > 0; left = dueMs - performance.now()) {
      await pause(Math.min(maxPauseMs, left));
    }
    connection.close("going_away", String(windowMs));
  }
}
