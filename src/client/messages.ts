import { BelfryClientError } from "./errors.ts";
import type { Message } from "./frames.ts";

/** Messages that may wait for whoever iterates. */
const maxWaiting = 10_000;

/**
 * Messages as they come, for `for await`.
 *
 * @param listen begins to listen and returns what ends that
 * @param onEnd calls its listener when no more will come
 * @throws BelfryClientError `too_slow` when 10,000 wait
 */
export async function* iterate(
  listen: (listener: (message: Message) => void) => () => void,
  onEnd: (listener: () => void) => () => void,
): AsyncGenerator<Message, void, undefined> {
  const waiting: Message[] = [];
  let wake: () => void = () => {};
  let isOver = false;
  const ends = [
    listen((message) => {
      waiting.push(message);
      wake();
    }),
    onEnd(() => {
      isOver = true;
      wake();
    }),
  ];
  try {
    for (;;) {
      if (waiting.length > maxWaiting)
        throw new BelfryClientError("too_slow", `${maxWaiting} messages wait to be taken`);
      const message = waiting.shift();
      if (message) yield message;
      else if (isOver) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    for (const end of ends) end();
  }
}
