import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Credentials, Token } from "../credentials.ts";
import type { Occupant } from "../entrance.ts";
import type { Pulsed } from "../heartbeat.ts";
import type { Connection, EndCause, Welcome } from "../hub/connection.ts";
import { type Delivery, type Piece, pieceOf } from "../hub/delivery.ts";
import { keepsUp, Outbox, type OutboxOptions } from "../hub/outbox.ts";
import { written } from "../hub/outlet.ts";
import { Intake, type IntakeOptions } from "../intake.ts";
import { type CloseCause, closeCodes } from "../protocol/close-codes.ts";
import type { ServerFrame, WelcomeFrame } from "../protocol/frames.ts";
import { formatId, type Position, parseId } from "../protocol/positions.ts";
import { broadcastStream, topicStream, userStream } from "../protocol/streams.ts";
import { closeEvent, frameData, idLine, messageData, pingComment, retryLine } from "./event.ts";
import { ResponseOutlet } from "./response-outlet.ts";
import { digestOf, isSecret, newSecret } from "./secret.ts";

/** What the connections of one service share. */
export interface SseContext extends IntakeOptions, OutboxOptions {
  /** Longest time between two pings, in ms; said in the welcome frame. */
  readonly pingIntervalMs: number;
  /** How long what is sent may stand still because the client does not read, in ms; default 2 minutes, and two pings at least. */
  readonly stallTimeoutMs?: number;
  /** The connection is going; called once, before the last event is sent or when the client has gone. */
  readonly onGone: (connection: SseConnection, cause: EndCause) => void;
  /** Its socket has closed; called once. */
  readonly onClosed: (connection: SseConnection) => void;
}

const defaultStallTimeoutMs = 120_000;

/** How long a client may take to read to the end of a stream that is closed, in ms. */
const closeTimeoutMs = 10_000;

/** Suggested pause before a client comes back, in ms; each is told another, so that they do not come together. */
const retryMs = { min: 1000, max: 3000 };

/** One stream of events, from its registration to its end. */
export class SseConnection implements Connection, Pulsed, Occupant {
  readonly id = randomUUID();
  readonly transport = "sse";
  readonly connectedAtMs = Date.now();
  readonly user: string | null;
  readonly remote: string;
  /** Nothing comes from the client but by requests of their own, and pings have no answer. */
  readonly lastSeenMs = Number.POSITIVE_INFINITY;
  nextPingMs = 0;
  oldAtMs = Number.POSITIVE_INFINITY;
  token: Token | undefined;
  readonly #context: SseContext;
  readonly #response: ServerResponse;
  readonly #outlet: ResponseOutlet;
  readonly #intake: Intake;
  /** The id to resume from in each stream, by the streams' keys. */
  readonly #positions = new Map<string, string>();
  /** Ids that the client came with, of topics that it is not yet subscribed to again, by their epochs. */
  readonly #carried = new Map<string, string>();
  /** What waits in front of the socket; most clients keep up, and have none. */
  #outbox: Outbox | undefined;
  #secretDigest: Buffer | undefined;
  #cut: NodeJS.Timeout | undefined;
  #gone = false;

  /** @param response its head is written, and nothing of its body */
  constructor(
    response: ServerResponse,
    socket: Socket,
    { user, token }: Credentials,
    remote: string,
    context: SseContext,
  ) {
    const { pingIntervalMs, stallTimeoutMs = Math.max(defaultStallTimeoutMs, 2 * pingIntervalMs) } = context;
    this.#response = response;
    this.#outlet = new ResponseOutlet(response, socket);
    this.#context = context;
    this.user = user;
    this.token = token;
    this.remote = remote;
    this.#intake = new Intake(this, context, performance.now());
    response.setTimeout(stallTimeoutMs, () => this.terminate());
    response.on("close", () => this.#closed());
    // To a client that has just gone there may be a write before it is known.
    response.on("error", () => {});
  }

  welcome({ positions, recovered }: Welcome): void {
    const secret = newSecret(this.user);
    this.#secretDigest = digestOf(secret);
    this.#positions.set(broadcastStream.key, positions.broadcast);
    if (this.user !== null) this.#positions.set(userStream(this.user).key, positions.user ?? "");
    const frame: WelcomeFrame = {
      type: "welcome",
      connection: this.id,
      user: this.user,
      positions,
      recovered,
      heartbeat: this.#context.pingIntervalMs,
      secret,
    };
    const pauseMs = retryMs.min + Math.random() * (retryMs.max - retryMs.min);
    this.#send(retryLine(pauseMs) + this.#idLine() + frameData(frame));
  }

  send(frame: ServerFrame): void {
    if (frame.type === "subscribed") {
      this.#positions.set(topicStream(frame.topic).key, frame.position);
      this.#carried.delete(parseId(frame.position)?.epoch ?? "");
    }
    if (frame.type === "unsubscribed") this.#positions.delete(topicStream(frame.topic).key);
    this.#send(this.#idLine() + frameData(frame));
  }

  deliver(delivery: Delivery): boolean {
    if (this.#gone) return false;
    const data = delivery.encodedBy(messageData);
    const events = delivery.messages.map(({ stream, position, id }, index) => {
      if (position) this.#positions.set(stream.key, id);
      return Buffer.concat([Buffer.from(this.#idLine()), data[index] ?? Buffer.alloc(0)]);
    });
    if (this.#writeNow(Buffer.concat(events))) return true;
    return this.#queue(events.map((event, index) => pieceOf(event, delivery.messages[index])));
  }

  /** Says what the client has of topics: it is told it again with each event until it is subscribed to them, or {@link settle}. */
  carry(positions: readonly Position[]): void {
    for (const position of positions) this.#carried.set(position.epoch, formatId("topic", position));
  }

  /** The client is subscribed to all that it has asked for: other positions that it came with are of no use any more. */
  settle(): void {
    this.#carried.clear();
  }

  cork(): void {
    this.#outlet.cork();
  }

  uncork(): void {
    this.#outlet.uncork();
  }

  pace(delivery: Delivery): Promise<void> | undefined {
    const waiting = this.#outlet.writableLength + (this.#outbox?.bytes ?? 0);
    const length = delivery.encodedBy(messageData).reduce((sum, data) => sum + data.length, 0);
    if (this.#gone || waiting === 0 || waiting + length <= this.#context.sendBufferBytes / 2) return undefined;
    return written(this.#outlet);
  }

  renew(token: Token | undefined): void {
    this.token = token;
  }

  get gone(): boolean {
    return this.#gone;
  }

  close(cause: CloseCause, reason: string = closeCodes[cause].reason): void {
    if (this.#gone) return;
    // What was delivered comes before the close, but where it was too much: then the client resumes.
    if (cause !== "slow_consumer") this.#outbox?.flush();
    this.#end(cause);
    this.#response.end(closeEvent(closeCodes[cause].code, reason));
    this.#cut = setTimeout(() => this.terminate(), closeTimeoutMs);
  }

  ping(): void {
    // What waits says as much, and must not grow by pings.
    if (!this.#outbox && this.#outlet.writableLength === 0) this.#send(pingComment);
  }

  terminate(): void {
    this.#end("heartbeat");
    this.#response.destroy();
  }

  /** Whether a secret is this connection's own. */
  hasSecret(secret: string): boolean {
    return this.#secretDigest !== undefined && isSecret(secret, this.#secretDigest);
  }

  /**
   * Takes a frame of the client's.
   *
   * @returns 0, or, when there are too many, the ms after which it may be sent again
   */
  receive(frame: string): number {
    const waitMs = this.#intake.count(performance.now());
    if (waitMs === 0) this.#intake.take(frame);
    return waitMs;
  }

  /** Reports once that the connection is going. */
  #end(cause: EndCause): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#outbox?.clear();
    this.#context.onGone(this, cause);
  }

  #closed(): void {
    clearTimeout(this.#cut);
    this.#end("client");
    this.#context.onClosed(this);
  }

  #idLine(): string {
    return idLine([...this.#positions.values(), ...this.#carried.values()]);
  }

  #send(events: string): void {
    const bytes = Buffer.from(events);
    if (!this.#gone && !this.#writeNow(bytes)) this.#queue([pieceOf(bytes)]);
  }

  /** Writes whole events, unless so much waits before them that they are to wait in the outbox. */
  #writeNow(events: Buffer): boolean {
    if (this.#outbox || !keepsUp(this.#outlet, events.length, this.#context.sendBufferBytes)) return false;
    this.#outlet.write(events);
    return true;
  }

  /** Lets whole events wait, or closes the connection as slow when too much waits. */
  #queue(pieces: readonly Piece[]): boolean {
    this.#outbox ??= new Outbox(this.#outlet, this.#context, () => {
      this.#outbox = undefined;
    });
    if (this.#outbox.add(pieces)) return true;
    this.close("slow_consumer");
    return false;
  }
}
