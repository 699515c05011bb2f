import type { Broker, Message } from "../broker/broker.ts";
import type { Log } from "../log.ts";
import { parseId } from "../protocol/positions.ts";
import { type Stream, userStream } from "../protocol/streams.ts";

/** Settings of {@link Undelivered}. */
export interface UndeliveredOptions {
  readonly broker: Pick<Broker, "history" | "reminders" | "up">;
  readonly log: Log;
  /** How long a message waits for a connection of its user before somebody is told, in ms. */
  readonly afterMs: number;
  /** Pause between two looks at what is due, in ms. Default: 1000. */
  readonly pollMs?: number;
  /** Time after which another replica takes what this one has not finished, in ms. Default: 2 minutes. */
  readonly leaseMs?: number;
  /** False while more cannot be told of: what is due is left to others then. */
  readonly hasRoom: () => boolean;
  /**
   * Told of a message that nobody was given in time.
   *
   * @returns resolves with true when this is done with; false: it is told again after the lease
   */
  readonly onUndelivered: (user: string, message: Message) => Promise<boolean>;
  /** Told when a message could not be watched, so that nobody will be told of it. */
  readonly onLost: () => void;
}

/** Most messages that are taken at once. */
const takeSize = 100;

/**
 * Watches over users' messages that nobody was there for, and says which of them no connection has been given in time. What
 * is watched stands with the broker, for all replicas: one of them tells, and what a replica dies with is told by another.
 */
export class Undelivered {
  readonly #options: UndeliveredOptions;
  readonly #pollMs: number;
  readonly #leaseMs: number;
  /** What is being told, which may take longer than the lease; each resolves when it is forgotten. */
  readonly #telling = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: UndeliveredOptions) {
    this.#options = options;
    this.#pollMs = options.pollMs ?? 1000;
    this.#leaseMs = options.leaseMs ?? 120_000;
  }

  /** Begins to look for what is due. */
  start(): void {
    this.#schedule(this.#pollMs);
  }

  /** Watches over a message that was handed to nobody; never rejects. */
  async watch(stream: Stream, id: string): Promise<void> {
    const { broker, log, afterMs, onLost } = this.#options;
    try {
      if (await broker.reminders.add(textOf(id, stream.name), Date.now() + afterMs)) return;
      log.warn("too many messages wait for their users; nobody will be told of one");
    } catch (error) {
      log.warn({ err: error, id }, "nobody will be told if a message reaches nobody");
    }
    onLost();
  }

  /** Messages of a user were read from history and given to a connection: nobody needs to be told of them. */
  given(messages: readonly Message[]): void {
    void this.#forget(messages.map(({ id, stream }) => textOf(id, stream.name)));
  }

  /** Takes nothing any more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** Resolves when what is being told is done with. */
  async settled(): Promise<void> {
    await Promise.all(this.#telling.values());
  }

  #schedule(pauseMs: number): void {
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#look(), pauseMs);
  }

  async #look(): Promise<void> {
    const { broker, log, hasRoom } = this.#options;
    let taken = 0;
    try {
      if (hasRoom() && broker.up) {
        const texts = await broker.reminders.take(Date.now(), takeSize, this.#leaseMs);
        taken = texts.length;
        await Promise.all(texts.map((text) => this.#take(text)));
      }
    } catch (error) {
      // Whatever was taken is due again after its lease. While the broker is away it says so itself.
      if (broker.up) log.warn({ err: error }, "messages that reached nobody could not be looked at; trying again");
    }
    this.#schedule(taken === takeSize ? 0 : this.#pollMs);
  }

  /** Looks at one that is due; does not wait until it was told. */
  async #take(text: string): Promise<void> {
    if (this.#telling.has(text)) return;
    const space = text.indexOf(" ");
    const user = text.slice(space + 1);
    const message = await this.#find(text.slice(0, space), userStream(user));
    if (!message) await this.#forget([text]);
    else if (!this.#isClosed) this.#telling.set(text, this.#tell(text, user, message));
  }

  async #tell(text: string, user: string, message: Message): Promise<void> {
    if (await this.#options.onUndelivered(user, message)) await this.#forget([text]);
    this.#telling.delete(text);
  }

  /** The message, unless it does not matter any more: its time is over, a newer one took its place, or it is lost. */
  async #find(id: string, stream: Stream): Promise<Message | undefined> {
    const offset = parseId(id)?.offset ?? 0;
    const { messages } = await this.#options.broker.history(stream, offset - 1, 1);
    return messages.find((message) => message.id === id);
  }

  /** Never rejects. */
  async #forget(texts: readonly string[]): Promise<void> {
    const { broker, log } = this.#options;
    try {
      await broker.reminders.forget(texts);
    } catch (error) {
      if (broker.up) log.warn({ err: error }, "messages that were given or told of may be told of again");
    }
  }
}

/** How a message is written down. An id has no space, a user's name may have. */
function textOf(id: string, user: string): string {
  return `${id} ${user}`;
}
