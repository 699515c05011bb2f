import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import type { HistoryPage, Message } from "../broker/broker.ts";
import type { Position } from "../protocol/positions.ts";
import type { Connection } from "./connection.ts";
import { Delivery } from "./delivery.ts";
import type { HistoryReader } from "./history-reader.ts";
import type { Member } from "./member.ts";
import type { SubscribedStream } from "./subscribed-stream.ts";
import { Tail } from "./tail.ts";

/** Pause before history is asked again after it could not be read, in ms. */
const retryMs = 500;

/** Pause before looking again whether this replica has come to where the client already was, in ms. */
const lagMs = 10;

/**
 * Gives a connection everything of a stream from a place on and then makes it live: history, page by page as fast as the
 * client reads, then what this replica was handed meanwhile, and in the same moment membership. At no point are messages
 * kept for one connection alone. Closes the connection with `position_lost` when history is trimmed before it was read.
 *
 * @param first a page that begins there or before, if one was read already
 */
export async function recover(
  member: Member,
  subscribed: SubscribedStream,
  from: Position,
  reader: HistoryReader,
  first?: HistoryPage,
): Promise<void> {
  const { connection } = member;
  subscribed.recovering.add(connection);
  subscribed.tail ??= new Tail(subscribed.position?.offset ?? 0);
  try {
    await replay(member, subscribed, from, reader, first);
  } finally {
    subscribed.recovering.delete(connection);
    if (subscribed.recovering.size === 0) subscribed.tail = undefined;
  }
}

async function replay(
  member: Member,
  subscribed: SubscribedStream,
  { epoch, offset: begin }: Position,
  reader: HistoryReader,
  first: HistoryPage | undefined,
): Promise<void> {
  const { connection } = member;
  let done = begin;
  let known = first;
  while (!connection.gone && subscribed.position?.epoch === epoch) {
    const here = subscribed.position.offset;
    const rest = done <= here ? subscribed.tail?.behind(done) : undefined;
    if (rest || done === here) {
      // No await from here to the end: nothing can come in between.
      if ((rest ?? []).every((message) => connection.deliver(Delivery.of(message)))) subscribed.fanOut.join(member);
      return;
    }
    if (done > here) {
      // The client was ahead on another replica.
      await pause(lagMs);
      continue;
    }
    const page = known ?? (await reader.read(subscribed.stream, done).catch(() => undefined));
    known = undefined;
    if (!page) {
      await pause(retryMs);
      continue;
    }
    if (page.epoch !== epoch || page.first > done + 1) break;
    const until = subscribed.position.offset;
    const messages = page.messages.filter(({ position }) => isBetween(done, position?.offset ?? 0, until));
    await deliverAll(connection, messages);
    if (!connection.gone) subscribed.onGiven?.(messages);
    done = Math.min(page.reaches, until);
    // Others have their turn between two pages.
    await turn();
  }
  connection.close("position_lost");
}

function isBetween(after: number, offset: number, until: number): boolean {
  return offset > after && offset <= until;
}

/** Delivers messages no faster than the client takes them. */
async function deliverAll(connection: Connection, messages: readonly Message[]) {
  connection.cork();
  for (const message of messages) {
    const delivery = Delivery.of(message);
    for (let wait = connection.pace(delivery); wait; wait = connection.pace(delivery)) {
      connection.uncork();
      await wait;
      connection.cork();
    }
    if (!connection.deliver(delivery)) break;
  }
  connection.uncork();
}
