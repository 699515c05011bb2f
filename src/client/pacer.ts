import type { OutgoingFrame } from "./frames.ts";

/** Frames a second: less than the service takes by default (`MAX_CLIENT_FRAMES_PER_SECOND`, 50), with room for its pings. */
const framesPerSecond = 40;

/** Frames that wait. */
const maxWaiting = 1000;

/** Sends frames no faster than the service takes them. */
export class Pacer {
  readonly #write: (frame: OutgoingFrame) => void;
  readonly #waiting: OutgoingFrame[] = [];
  #left = framesPerSecond;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(write: (frame: OutgoingFrame) => void) {
    this.#write = write;
  }

  /** @throws RangeError when too many wait */
  send(frame: OutgoingFrame): void {
    if (this.#waiting.length >= maxWaiting) throw new RangeError("too many frames are sent at once");
    this.#waiting.push(frame);
    this.#flush();
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting.length = 0;
  }

  #flush(): void {
    for (; this.#left > 0 && this.#waiting.length > 0; this.#left--)
      this.#write(this.#waiting.shift() as OutgoingFrame);
    if (this.#left === framesPerSecond || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#left = framesPerSecond;
      this.#flush();
    }, 1000);
  }
}
