import type { Message } from "../broker/broker.ts";
import type { Connection } from "./connection.ts";

/** A message on its way to connections. */
export interface Numbered {
  /** Counts the messages of all streams of this replica, in the order of their coming. */
  readonly number: number;
  readonly message: Message;
}

/** A stream that a member is handed messages of. */
export interface MessageSource {
  /** True when a message before the given number is on its way to anybody. */
  hasBefore(number: number): boolean;
  /** What is on its way to the member up to the given number and was not handed to it, oldest first. */
  owedTo(member: Member, upTo: number): Numbered[];
}

/** A connection that is handed the messages of several streams in the order of their coming. */
export class Member {
  readonly connection: Connection;
  readonly sources: MessageSource[] = [];
  /** Number up to which it was handed everything. */
  handed = 0;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** What all its streams owe it up to a number, oldest first. */
  owed(upTo: number): Numbered[] {
    return this.sources.flatMap((source) => source.owedTo(this, upTo)).sort((a, b) => a.number - b.number);
  }
}
