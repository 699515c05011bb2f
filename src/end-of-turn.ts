import { setImmediate as turn } from "node:timers/promises";

let ending: Promise<void> | undefined;

/**
 * Resolves when the event loop has read what has come, for all who wait for it one after the other. Answers that are
 * written together wake the processes that wait for them once, and these go on asking together; an answer written between
 * two requests wakes its receiver alone, which costs the kernel more than the write itself. In an idle service the turn
 * ends at once.
 */
export function endOfTurn(): Promise<void> {
  ending ??= ended();
  return ending;
}

async function ended(): Promise<void> {
  await turn();
  ending = undefined;
}
