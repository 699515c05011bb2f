import type { Message } from "../broker/broker.ts";
import { Delivery } from "./delivery.ts";
import type { Member, MessageSource, Numbered, Seat } from "./member.ts";
import type { Receiver } from "./receiver.ts";
import { Room } from "./room.ts";
import type { Sweepable, Sweeper } from "./sweeper.ts";

/** Settings of {@link FanOut}. */
export interface FanOutOptions {
  readonly sweeper: Sweeper;
  /** Bytes of messages written to a connection at once, unless a single message is larger. */
  readonly maxPassBytes: number;
  /** Told of messages that were written, and to how many connections. */
  readonly onDelivered: (messages: readonly Message[], connections: number) => void;
}

/** Bytes of messages on their way, those being published included, beyond which publishers wait: about one pass. */
const gateBytes = 256 * 1024;

/** Bytes of pending messages beyond which nothing is taken that other replicas have published. */
const maxPendingBytes = 1024 * 1024;

/** Members that are looked at between two looks at the clock. */
const looks = 32;

/** One for all streams of which nothing is pending; never pushed to. */
const none: Numbered[] = [];

/** One way through the members with all messages that had come when it began. */
interface Pass {
  readonly delivery: Delivery;
  /** Numbers of the first and the last message. */
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
  readonly seats: readonly Seat[];
  /** Index of the next one. */
  next: number;
}

/**
 * Hands the messages of one stream to its members. Messages are not written as they come: a pass takes all that wait and
 * writes them as one buffer to one member after the other, a slice of them in each turn of the event loop; what comes
 * meanwhile waits for the next pass. So an idle stream has no delay, and a busy one needs the fewer writes the busier it
 * is, while connections, requests and other streams have their turns in between.
 *
 * A member to whom other streams owe something that came before is handed that first, so that a connection sees all
 * messages of its streams in the order in which they came to this replica.
 */
export class FanOut<S extends Seat = Receiver> implements Sweepable, MessageSource {
  readonly #options: FanOutOptions;
  readonly #seats = new Set<S>();
  /** Made with the first message: many streams never have one. */
  #gate: Room | undefined;
  /** Those of the pass, and behind them those that wait for the next. */
  #pending: Numbered[] = none;
  /** Number of the newest message. */
  #newest = 0;
  /** Of all that are pending. */
  #bytes = 0;
  #pass: Pass | undefined;
  #isDue = false;
  #onRoom: (() => void)[] | undefined;

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  /** Where those who publish here wait while too much is on its way, so that it never becomes too much. */
  get gate(): Room {
    this.#gate ??= new Room(gateBytes);
    return this.#gate;
  }

  /** Those that are handed every message. */
  get seats(): Iterable<S> {
    return this.#seats;
  }

  get size(): number {
    return this.#seats.size;
  }

  /** Gives a member its place: it is handed every message that comes from now on, and none that came before. */
  join(seat: S): void {
    seat.joined = this.#newest;
    this.#seats.add(seat);
    seat.member.sit(seat);
  }

  leave(seat: S): void {
    if (!this.#seats.delete(seat)) return;
    // A pass that is under way comes to it still, and hands it nothing of this stream.
    seat.joined = this.#newest;
    seat.member.rise(seat);
  }

  /** Takes the next message of the stream. */
  push(message: Message): void {
    this.#newest = this.#options.sweeper.nextNumber();
    if (this.#seats.size === 0) return;
    const numbered = { number: this.#newest, message };
    if (this.#pending === none) this.#pending = [numbered];
    else this.#pending.push(numbered);
    this.#bytes += message.body.length;
    this.gate.take(message.body.length);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#options.sweeper.add(this);
  }

  /** True while too much is pending. */
  get isFull(): boolean {
    return this.#bytes >= maxPendingBytes;
  }

  /** Resolves when it is not full any more. */
  async room(): Promise<void> {
    while (this.isFull) {
      this.#onRoom ??= [];
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onRoom.push(resolve);
      await promise;
    }
  }

  hasBefore(number: number): boolean {
    const [oldest] = this.#pending;
    return oldest !== undefined && oldest.number < number;
  }

  owedTo({ member, joined }: Seat, upTo: number): Numbered[] {
    const after = Math.max(joined, member.handed);
    return this.#pending.filter(({ number }) => number > after && number <= upTo);
  }

  /** Hands a member at once what it is owed of this stream, and what came before that in its others. */
  flush(member: Member): void {
    while (!this.#handOwed(member, this.#newest));
  }

  /** Goes on with the pass, or begins one. */
  sweep(untilMs: number): boolean {
    this.#pass ??= this.#begin();
    const pass = this.#pass;
    const isFirst = this.#options.sweeper.isFirst(pass.last);
    let written = 0;
    for (let n = 1; pass.next < pass.seats.length; n++) {
      const seat = pass.seats[pass.next] as Seat;
      const { member } = seat;
      if (this.#isAllOwed(seat, pass, isFirst)) {
        member.handed = pass.last;
        if (member.connection.deliver(pass.delivery)) written++;
      } else if (!this.#handOwed(member, pass.last)) {
        // The rest of what is too much for one write goes out in the next turn.
        break;
      }
      pass.next++;
      if (n % looks === 0 && performance.now() >= untilMs) break;
    }
    if (written > 0) this.#options.onDelivered(pass.delivery.messages, written);
    if (pass.next < pass.seats.length) return true;
    this.#end(pass);
    return this.#isDue;
  }

  #begin(): Pass {
    const first = this.#pending[0]?.number ?? 0;
    const { messages, bytes, last } = this.#cut(this.#pending);
    return { delivery: new Delivery(messages), first, last, bytes, seats: [...this.#seats], next: 0 };
  }

  /** As many of the messages as are written at once, one at least. */
  #cut(numbered: readonly Numbered[]): { messages: Message[]; bytes: number; last: number } {
    const messages: Message[] = [];
    let bytes = 0;
    let last = 0;
    for (const { number, message } of numbered) {
      if (messages.length > 0 && bytes + message.body.length > this.#options.maxPassBytes) break;
      messages.push(message);
      bytes += message.body.length;
      last = number;
    }
    return { messages, bytes, last };
  }

  /**
   * True when the member is to be handed the messages of the pass, all of them, and nothing else: nearly always.
   *
   * @param isFirst no other stream has anything older; then not each of the member's, maybe hundreds, must be looked at
   */
  #isAllOwed({ member, joined }: Seat, { first, last }: Pass, isFirst: boolean): boolean {
    if (joined >= first || member.handed >= first) return false;
    if (isFirst) return true;
    for (const { source } of member.seats) if (source !== this && source.hasBefore(last)) return false;
    return true;
  }

  /** Hands over what all streams owe up to a number; false when that is more than is written at once. */
  #handOwed(member: Member, upTo: number): boolean {
    const owed = member.owed(upTo);
    const { messages, last } = this.#cut(owed);
    if (messages.length === 0) return true;
    member.handed = last;
    if (member.connection.deliver(new Delivery(messages))) this.#options.onDelivered(messages, 1);
    return messages.length === owed.length;
  }

  #end({ bytes, delivery }: Pass): void {
    this.#pass = undefined;
    const rest = this.#pending.slice(delivery.messages.length);
    this.#pending = rest.length > 0 ? rest : none;
    this.#bytes -= bytes;
    this.gate.give(bytes);
    this.#isDue = this.#pending.length > 0;
    if (this.isFull) return;
    for (const resolve of this.#onRoom ?? []) resolve();
    this.#onRoom = undefined;
  }
}
