import type { Connection } from "./hub/connection.ts";
import { type ClientFrame, parseClientFrame, type ServerFrame } from "./protocol/frames.ts";
import { TokenBucket } from "./token-bucket.ts";

/** What the intakes of one service share. */
export interface IntakeOptions {
  readonly maxClientFramesPerSecond: number;
  /** A well-formed frame; resolves with what to answer, if anything, and never rejects. */
  readonly onFrame: (connection: Connection, frame: ClientFrame) => Promise<ServerFrame | undefined>;
}

/** Malformed frames in a row that end a connection. */
const maxMalformedInRow = 10;

/** Takes what one client sends, by whichever transport. */
export class Intake {
  readonly #connection: Connection;
  readonly #options: IntakeOptions;
  readonly #frames: TokenBucket;
  #malformedInRow = 0;

  /** @param nowMs by {@link performance.now} */
  constructor(connection: Connection, options: IntakeOptions, nowMs: number) {
    this.#connection = connection;
    this.#options = options;
    this.#frames = new TokenBucket(options.maxClientFramesPerSecond, nowMs);
  }

  /**
   * Counts a frame.
   *
   * @param nowMs by {@link performance.now}
   * @returns 0, or, when there are too many, the ms after which there may be one more
   */
  count(nowMs: number): number {
    return this.#frames.take(nowMs);
  }

  /** Does what a frame that was counted asks for, and answers it. Closes the connection when too many in a row are malformed. */
  take(text: string): void {
    const frame = parseClientFrame(text);
    if (frame.type !== "error") {
      this.#malformedInRow = 0;
      void this.#answer(frame);
    } else if (++this.#malformedInRow < maxMalformedInRow) {
      this.#connection.send(frame);
    } else {
      this.#connection.close("policy");
    }
  }

  async #answer(frame: ClientFrame): Promise<void> {
    const answer = await this.#options.onFrame(this.#connection, frame);
    if (answer) this.#connection.send(answer);
  }
}
