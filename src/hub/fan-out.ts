import type { Message } from "../broker/broker.ts";
import type { Connection } from "./connection.ts";
import { Delivery } from "./delivery.ts";
import type { Sweepable, Sweeper } from "./sweeper.ts";

/** Settings of {@link FanOut}. */
export interface FanOutOptions {
  readonly sweeper: Sweeper;
  /** Bytes of messages written to a connection at once, unless a single message is larger. */
  readonly maxPassBytes: number;
  /** Told of messages that were written, and to how many connections. */
  readonly onDelivered: (messages: readonly Message[], connections: number) => void;
}

/** Bytes of messages that may wait until those who bring more have to wait too. */
const maxWaitingBytes = 1024 * 1024;

/** Connections written to between two looks at the clock. */
const looks = 32;

/** One way through the members with all messages that had come when it began. */
interface Pass {
  readonly delivery: Delivery;
  /** Numbers of the first and the last message. */
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
  readonly connections: readonly Connection[];
  /** Index of the next connection. */
  next: number;
}

/**
 * Hands the messages of one stream to its members. Messages are not written as they come: a pass takes all that wait and
 * writes them as one buffer to one member after the other, a slice of them in each turn of the event loop; what comes
 * meanwhile waits for the next pass. So an idle stream has no delay, and a busy one needs the fewer writes the busier it
 * is, while connections, requests and other streams have their turns in between.
 */
export class FanOut implements Sweepable {
  readonly #options: FanOutOptions;
  /** Each with the number of the last message that came before it was a member. */
  readonly #members = new Map<Connection, number>();
  /** Those that wait for the next pass. */
  #waiting: Message[] = [];
  /** Number of the newest message. */
  #newest = 0;
  /** Of all that are not written to everybody yet. */
  #bytes = 0;
  #pass: Pass | undefined;
  #isDue = false;
  #onRoom: (() => void)[] = [];

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  /** Connections that are handed every message. */
  get members(): Iterable<Connection> {
    return this.#members.keys();
  }

  get size(): number {
    return this.#members.size;
  }

  /** Makes a connection a member: it is handed every message that comes from now on, and none that came before. */
  join(connection: Connection): void {
    this.#members.set(connection, this.#newest);
  }

  leave(connection: Connection): void {
    this.#members.delete(connection);
  }

  /** Takes the next message of the stream. */
  push(message: Message): void {
    this.#newest++;
    if (this.#members.size === 0) return;
    this.#waiting.push(message);
    this.#bytes += message.body.length;
    if (this.#isDue) return;
    this.#isDue = true;
    this.#options.sweeper.add(this);
  }

  /** True while too much waits. */
  get isFull(): boolean {
    return this.#bytes >= maxWaitingBytes;
  }

  /** Resolves when it is not full any more. */
  async room(): Promise<void> {
    while (this.isFull) await new Promise<void>((resolve) => this.#onRoom.push(resolve));
  }

  /** Goes on with the pass, or begins one. */
  sweep(untilMs: number): boolean {
    this.#pass ??= this.#begin();
    const pass = this.#pass;
    let written = 0;
    for (let n = 1; pass.next < pass.connections.length; n++) {
      const connection = pass.connections[pass.next++];
      if (connection && this.#write(connection, pass)) written++;
      if (n % looks === 0 && performance.now() >= untilMs) break;
    }
    if (written > 0) this.#options.onDelivered(pass.delivery.messages, written);
    if (pass.next < pass.connections.length) return true;
    this.#end(pass);
    return this.#isDue;
  }

  #begin(): Pass {
    let bytes = 0;
    let count = 0;
    for (const { body } of this.#waiting) {
      if (count > 0 && bytes + body.length > this.#options.maxPassBytes) break;
      bytes += body.length;
      count++;
    }
    const first = this.#newest - this.#waiting.length + 1;
    const messages = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    const connections = [...this.#members.keys()];
    return { delivery: new Delivery(messages), first, last: first + count - 1, bytes, connections, next: 0 };
  }

  #write(connection: Connection, { delivery, first, last }: Pass): boolean {
    const joined = this.#members.get(connection);
    // It has left, or came when all of these had been there.
    if (joined === undefined || joined >= last) return false;
    if (joined < first) return connection.deliver(delivery);
    return connection.deliver(new Delivery(delivery.messages.slice(joined - first + 1)));
  }

  #end({ bytes }: Pass): void {
    this.#pass = undefined;
    this.#bytes -= bytes;
    this.#isDue = this.#waiting.length > 0;
    if (this.isFull) return;
    for (const resolve of this.#onRoom.splice(0)) resolve();
  }
}
