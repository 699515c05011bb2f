import type { Connection } from "../../src/hub/connection.ts";
import type { FanOut } from "../../src/hub/fan-out.ts";
import { Member } from "../../src/hub/member.ts";
import type { Receiver } from "../../src/hub/receiver.ts";

/** A connection that listens to a stream from its beginning, and has acked nothing. */
export function receiverOf(connection: Connection, source: FanOut): Receiver {
  const member = new Member(connection);
  return { connection, member, source, joined: 0, from: 0, known: 0, liveBefore: 0, acked: 0, waits: undefined };
}
