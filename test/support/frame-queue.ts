/** A frame as it came in. */
export type Frame = Record<string, unknown> & { type: string };

/** How a connection ended; 1006 without a word. */
export interface Ending {
  readonly code: number;
  readonly reason: string;
}

/** How long a test waits for something that should come, in ms. */
const patienceMs = 5000;

/** Keeps what a client receives, so that a test misses nothing. */
export class FrameQueue {
  /** Everything that came in and was not taken yet; raw text, so that tests can look at bytes. */
  readonly queue: string[] = [];
  /** Resolves with how the connection ended. */
  readonly closed: Promise<Ending>;
  readonly #end: (ending: Ending) => void;
  #hasEnded = false;
  readonly #waiting: (() => void)[] = [];

  constructor() {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.closed = promise;
    this.#end = resolve;
  }

  get isOpen(): boolean {
    return !this.#hasEnded;
  }

  /** Takes the next frame as text. */
  async nextText(waitMs = patienceMs): Promise<string> {
    const deadline = Date.now() + waitMs;
    while (this.queue.length === 0) {
      if (this.#hasEnded) throw new Error("closed while a frame was awaited");
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no frame within ${waitMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.queue.shift() ?? "";
  }

  /** Takes the next frame. */
  async next(waitMs = patienceMs): Promise<Frame> {
    return JSON.parse(await this.nextText(waitMs)) as Frame;
  }

  /** Takes the next frames. */
  async take(count: number): Promise<Frame[]> {
    const frames: Frame[] = [];
    while (frames.length < count) frames.push(await this.next());
    return frames;
  }

  /** Takes the frame that every connection begins with. */
  protected async takeWelcome(): Promise<Frame> {
    const welcome = await this.next();
    if (welcome.type !== "welcome") throw new Error(`the first frame is ${JSON.stringify(welcome)}`);
    return welcome;
  }

  protected received(text: string): void {
    this.queue.push(text);
    this.#wake();
  }

  protected ended(ending: Ending): void {
    this.#hasEnded = true;
    this.#end(ending);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
