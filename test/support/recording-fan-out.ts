import type { Message } from "../../src/broker/broker.ts";
import { FanOut } from "../../src/hub/fan-out.ts";
import { Sweeper } from "../../src/hub/sweeper.ts";

/** A fan-out that writes down what it is handed, and hands nothing on. */
export class RecordingFanOut extends FanOut {
  /** Set to let it have no room. */
  full = false;
  readonly #onMessage: (message: Message) => void;
  #onRoom = Promise.withResolvers<void>();

  constructor(onMessage: (message: Message) => void) {
    super({ sweeper: new Sweeper(), maxPassBytes: 1000, onDelivered: () => {} });
    this.#onMessage = onMessage;
  }

  override push(message: Message): void {
    this.#onMessage(message);
  }

  override get isFull(): boolean {
    return this.full;
  }

  override async room(): Promise<void> {
    if (this.full) await this.#onRoom.promise;
  }

  /** Has room again. */
  drain(): void {
    this.full = false;
    this.#onRoom.resolve();
    this.#onRoom = Promise.withResolvers();
  }
}
