import type { Message, SeenMessage } from "../broker/broker.ts";
import type { Position } from "../protocol/positions.ts";
import type { Stream } from "../protocol/streams.ts";
import type { Connection } from "./connection.ts";
import type { FanOut } from "./fan-out.ts";
import type { Receiver } from "./receiver.ts";
import type { Tail } from "./tail.ts";

/** A stream that this replica is subscribed to, for the connections that listen to it. */
export interface SubscribedStream {
  readonly stream: Stream;
  /** Connections that are handed every message as it comes, and what is on its way to them. */
  readonly fanOut: FanOut;
  /** Those that are still being given what they missed; undefined: nobody yet. */
  recovering: Set<{ readonly receiver: Receiver }> | undefined;
  /** The newest messages, while somebody recovers. */
  tail: Tail | undefined;
  /** The last message that was handed to the fan-out; undefined until the broker has said where the stream stands. */
  position: Position | undefined;
  /** The last messages that were there up to that position. */
  recent: readonly SeenMessage[];
  /** Registered connections, and those still in their handshake: the subscription lasts while there are any. */
  holds: number;
  /** The newest message that came before the position was known: then there is nobody yet to deliver to. */
  early: Position | undefined;
  /** The newest offset known to exist; above `position` while history is being read. */
  seen: number;
  filling: boolean;
  /** True when other replicas are, or have been, subscribed to it too. */
  isElsewhere: boolean;
  subscribing: Promise<void> | undefined;
  /** Told of messages that were read from history for connections here, and not handed over live; undefined: nobody asks. */
  readonly onGiven: ((messages: readonly Message[]) => void) | undefined;
}

/** Everybody who listens to a stream, those who are still being given what they missed included. */
export function receiversOf({ fanOut, recovering }: SubscribedStream): Receiver[] {
  const receivers = [...fanOut.seats];
  for (const { receiver } of recovering ?? []) receivers.push(receiver);
  return receivers;
}

/** Their connections. */
export function connectionsTo(subscribed: SubscribedStream): Connection[] {
  return receiversOf(subscribed).map(({ connection }) => connection);
}

/** How many they are. */
export function countConnections({ fanOut, recovering }: SubscribedStream): number {
  return fanOut.size + (recovering?.size ?? 0);
}
