import type { Message } from "../broker/broker.ts";
import type { Connection } from "./connection.ts";

/** A message on its way to connections. */
export interface Numbered {
  /** Counts the messages of all streams of this replica, in the order of their coming. */
  readonly number: number;
  readonly message: Message;
}

/** A stream that members are handed messages of. */
export interface MessageSource {
  /** True when a message before the given number is on its way to anybody. */
  hasBefore(number: number): boolean;
  /** What is on its way to a member up to the given number and was not handed to it, oldest first. */
  owedTo(seat: Seat, upTo: number): Numbered[];
}

/** A member's place in a stream whose messages it is handed. */
export interface Seat {
  readonly member: Member;
  readonly source: MessageSource;
  /** Number of the newest message when it was taken; that one and those before are not handed over. */
  joined: number;
}

/** Places up to which room is made for exactly as many as there are. */
const maxExactSeats = 4;

/** A connection that is handed the messages of several streams in the order of their coming. */
export class Member {
  readonly connection: Connection;
  /** Number up to which it was handed everything. */
  handed = 0;
  #seats: Seat[] = [];

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Its places in streams. */
  get seats(): readonly Seat[] {
    return this.#seats;
  }

  /** Takes a place. */
  sit(seat: Seat): void {
    // Most connections have two, and an array that is pushed to makes room for seventeen.
    if (this.#seats.length < maxExactSeats) this.#seats = [...this.#seats, seat];
    else this.#seats.push(seat);
  }

  /** Leaves a place. */
  rise(seat: Seat): void {
    this.#seats.splice(this.#seats.indexOf(seat), 1);
  }

  /** What all its streams owe it up to a number, oldest first. */
  owed(upTo: number): Numbered[] {
    return this.#seats.flatMap((seat) => seat.source.owedTo(seat, upTo)).sort((a, b) => a.number - b.number);
  }
}
