import type { Broker, Message } from "../broker/broker.ts";
import { type ClientFrame, type ErrorFrame, frameError } from "../protocol/frames.ts";
import { parseId } from "../protocol/positions.ts";
import { broadcastStream, type Stream } from "../protocol/streams.ts";
import { type AcksHere, AckWaits, maxNamed, toAck } from "./ack-waits.ts";
import { AckedPositions } from "./acked-positions.ts";
import type { Connection } from "./connection.ts";
import { LiveMessages } from "./live-messages.ts";
import type { Ack, Place, Receiver } from "./receiver.ts";
import { countConnections, receiversOf, type SubscribedStream } from "./subscribed-stream.ts";

/** Who has acked a message, over all replicas. */
export interface Acks {
  /** Connections that it was handed to and that are still there, or had acked it when they went. */
  readonly receivers: number;
  /** Those that have acked it; of one replica at most 10,000 are named. */
  readonly acks: readonly Ack[];
  /** True when all have. */
  readonly complete: boolean;
}

/** A message found by its id. */
interface FoundMessage {
  readonly message: Message;
  /** A user's message: any of the user's connections has acked it, at whatever time. Others: one that is connected has. */
  readonly acked: boolean;
  /** The connections now connected that have acked it; of one replica at most 10,000. */
  readonly acks: readonly Ack[];
}

/** To the replicas subscribed to a stream. */
type ReceiptQuestion =
  /** Who has acked the message? Answered when all who were handed it have, or the time is over: {@link AcksHere}. */
  | { readonly kind: "acks"; readonly id: string; readonly timeoutMs: number }
  /** Who that is connected now has acked the message? Answered at once: {@link AckedBy}. */
  | { readonly kind: "acked_by"; readonly id: string };

interface AckedBy {
  /** True when somebody here has, also one that is gone. */
  readonly acked: boolean;
  readonly acks: readonly Ack[];
}

/** A receiver, and the stream it listens to. */
interface Listening extends Receiver {
  readonly subscribed: SubscribedStream;
}

/** What receipts need to know of this replica. */
interface Here {
  readonly get: (stream: Stream) => SubscribedStream | undefined;
  readonly receiversOf: (connection: Connection) => Iterable<Listening>;
}

/** How long answers may be on their way, in ms. */
const answerTimeoutMs = 1000;

const nobody: AcksHere = { missing: 0, acked: 0, acks: [] };

/**
 * Who has handled what. Each connection here is known with how far it has acked each of its streams; replicas are asked when
 * somebody wants to know. Nothing is done for a message that nobody asks about, but that live-only ones are remembered.
 */
export class Receipts {
  readonly #broker: Broker;
  readonly #here: Here;
  readonly #waits = new AckWaits();
  readonly #live = new LiveMessages();
  readonly #positions: AckedPositions;

  constructor(broker: Broker, here: Here) {
    this.#broker = broker;
    this.#here = here;
    this.#positions = new AckedPositions(broker);
  }

  /** Acks that are waited for here, and streams of which it is not written yet how far they were acked. */
  get waiting(): { readonly acks: number; readonly streams: number } {
    return { acks: this.#waits.size, streams: this.#positions.size };
  }

  /** Live-only messages that this replica was handed so far. */
  get liveCount(): number {
    return this.#live.count;
  }

  /** A connection does not listen to a stream any more. */
  end(receiver: Listening): void {
    this.#waits.gone(receiver);
    if (countConnections(receiver.subscribed) === 0) this.#positions.left(receiver.subscribed.stream);
  }

  /** A live-only message was handed to the connections that listen to its stream. */
  handedLive(message: Message): void {
    this.#live.add(message);
  }

  /** Takes a client's `ack` frame; returns what to answer when it has a `ref` and was never handed the message. */
  ack(connection: Connection, { id, ref }: Extract<ClientFrame, { type: "ack" }>): ErrorFrame | undefined {
    const isTaken = this.#ackStored(connection, id) || this.#ackLive(connection, id);
    // Acks are sent and forgotten, unless the client wants to know: then it gives a ref.
    if (isTaken || ref === undefined) return undefined;
    return frameError("not_found", "there was no such message on this connection", ref);
  }

  #ackStored(connection: Connection, id: string): boolean {
    const position = parseId(id);
    if (!position) return false;
    const { scope, epoch, offset } = position;
    for (const receiver of this.#here.receiversOf(connection)) {
      const { subscribed } = receiver;
      if (subscribed.stream.scope !== scope || subscribed.position?.epoch !== epoch) continue;
      if (offset <= receiver.known || offset > subscribed.position.offset) return false;
      if (offset <= receiver.acked) return true;
      receiver.acked = offset;
      this.#waits.acked(receiver, offset);
      if (scope === "user") this.#positions.note(subscribed.stream, { epoch, offset });
      return true;
    }
    return false;
  }

  #ackLive(connection: Connection, id: string): boolean {
    const message = this.#live.get(id);
    if (!message) return false;
    for (const receiver of this.#here.receiversOf(connection)) {
      if (receiver.subscribed.stream.key !== message.stream || message.number <= receiver.liveBefore) continue;
      this.#live.ack(message, connection.id);
      this.#waits.acked(receiver, id);
      return true;
    }
    return false;
  }

  /**
   * Waits until all connections that were handed a message, on whatever replica, have acked it or have gone.
   *
   * @param timeoutMs after this time the answer is what there is
   * @param signal gives up when it is aborted
   * @throws BelfryError `unavailable`
   */
  async wait(stream: Stream, id: string, timeoutMs: number, signal?: AbortSignal): Promise<Acks> {
    const question: ReceiptQuestion = { kind: "acks", id, timeoutMs };
    const options = { timeoutMs: timeoutMs + answerTimeoutMs, signal };
    const { answers, replicas } = await this.#broker.ask(stream, question, options);
    const heard = answers as readonly AcksHere[];
    return {
      receivers: heard.reduce((sum, { missing, acked }) => sum + missing + acked, 0),
      acks: heard.flatMap(({ acks }) => acks),
      complete: heard.length === replicas && heard.every(({ missing }) => missing === 0),
    };
  }

  /**
   * Finds a message by its id; undefined when it is not in history, or not any more.
   *
   * @throws BelfryError `unavailable`
   */
  async find(id: string): Promise<FoundMessage | undefined> {
    const position = parseId(id);
    if (!position || position.offset === 0) return undefined;
    const { scope, epoch, offset } = position;
    const stream = scope === "broadcast" ? broadcastStream : await this.#broker.streamOf(epoch);
    if (stream?.scope !== scope) return undefined;
    const question: ReceiptQuestion = { kind: "acked_by", id };
    // Before history is read: what a replica has written meanwhile stands there then.
    const heard = (await this.#broker.ask(stream, question)).answers as readonly AckedBy[];
    const { acked, messages } = await this.#broker.history(stream, offset - 1, 1);
    const [message] = messages;
    if (message?.id !== id) return undefined;
    const acks = heard.flatMap((one) => one.acks);
    return { message, acked: acked >= offset || heard.some((one) => one.acked), acks };
  }

  /** Answers a replica's question, this one's own among them; undefined when the question is not about receipts. */
  answer(stream: Stream, question: unknown): AcksHere | Promise<AcksHere> | AckedBy | undefined {
    const asked = question as ReceiptQuestion | null;
    if (asked?.kind === "acks") return this.#acksOf(stream, asked.id, asked.timeoutMs);
    return asked?.kind === "acked_by" ? this.#ackedBy(stream, asked.id) : undefined;
  }

  /** Writes how far streams were acked, and lets all waits end. */
  async close(): Promise<void> {
    this.#waits.close();
    await this.#positions.close();
  }

  #acksOf(stream: Stream, id: string, timeoutMs: number): AcksHere | Promise<AcksHere> {
    const subscribed = this.#here.get(stream);
    const live = this.#live.get(id);
    if (!subscribed) return nobody;
    if (live) {
      const handed = receiversOf(subscribed).filter(({ liveBefore }) => liveBefore < live.number);
      return this.#waits.open(id, handed, ({ connection }) => live.acked?.has(connection.id) ?? false, timeoutMs);
    }
    const position = parseId(id);
    if (!position || position.epoch !== subscribed.position?.epoch) return nobody;
    const place: Place = position.offset;
    const handed = receiversOf(subscribed).filter(({ from }) => from < place);
    return this.#waits.open(place, handed, ({ acked }) => acked >= place, timeoutMs);
  }

  #ackedBy(stream: Stream, id: string): AckedBy {
    const subscribed = this.#here.get(stream);
    const position = parseId(id);
    if (!position || position.epoch !== subscribed?.position?.epoch) return { acked: false, acks: [] };
    const { epoch, offset } = position;
    const hasAcked = ({ known, acked }: Receiver) => known < offset && offset <= acked;
    const acks = receiversOf(subscribed).filter(hasAcked).slice(0, maxNamed).map(toAck);
    const noted = this.#positions.get(stream);
    return { acked: acks.length > 0 || (noted?.epoch === epoch && noted.offset >= offset), acks };
  }
}
