import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Credentials, Token } from "../credentials.ts";
import type { Occupant } from "../entrance.ts";
import type { Pulsed } from "../heartbeat.ts";
import type { Connection, EndCause, Welcome } from "../hub/connection.ts";
import type { Delivery } from "../hub/delivery.ts";
import { Intake, type IntakeOptions } from "../intake.ts";
import { type CloseCause, closeCodes } from "../protocol/close-codes.ts";
import type { ServerFrame, WelcomeFrame } from "../protocol/frames.ts";
import { parseId } from "../protocol/positions.ts";
import { broadcastStream, topicStream, userStream } from "../protocol/streams.ts";
import { closeEvent, frameData, idLine, messageData, pingComment, retryLine } from "./event.ts";
import { digestOf, isSecret, newSecret } from "./secret.ts";

/** What the connections of one service share. */
export interface SseContext extends IntakeOptions {
  readonly sendBufferBytes: number;
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

/** Pause before looking again whether the client has read, where the system says nothing of it, in ms. */
const lookAgainMs = 10;

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
  readonly #socket: Socket;
  readonly #intake: Intake;
  /** The id to resume from in each stream, by the streams' keys. */
  readonly #positions = new Map<string, string>();
  /** What the client has of topics that it may be put into yet. */
  #named: readonly string[] = [];
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
    this.#socket = socket;
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

  welcome({ positions, recovered, topics = [] }: Welcome): void {
    const secret = newSecret(this.user);
    this.#secretDigest = digestOf(secret);
    this.#positions.set(broadcastStream.key, positions.broadcast);
    if (this.user !== null) this.#positions.set(userStream(this.user).key, positions.user ?? "");
    this.#named = topics;
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
    this.#write(Buffer.from(retryLine(pauseMs) + this.#idLine() + frameData(frame)));
  }

  topicsApplied(): void {
    this.#named = [];
  }

  send(frame: ServerFrame): void {
    if (frame.type === "subscribed") {
      const { topic, position } = frame;
      this.#positions.set(topicStream(topic).key, position);
      // No two topics have the same epoch.
      this.#named = this.#named.filter((id) => parseId(id)?.epoch !== parseId(position)?.epoch);
    }
    if (frame.type === "unsubscribed") this.#positions.delete(topicStream(frame.topic).key);
    this.#write(Buffer.from(this.#idLine() + frameData(frame)));
  }

  deliver(delivery: Delivery): boolean {
    if (this.#gone) return false;
    const data = delivery.encodedBy(messageData);
    const events = delivery.messages.flatMap(({ stream, position, id }, index) => {
      if (position) this.#positions.set(stream.key, id);
      return [Buffer.from(this.#idLine()), data[index] ?? Buffer.alloc(0)];
    });
    return this.#write(Buffer.concat(events));
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  pace(delivery: Delivery): Promise<void> | undefined {
    const waiting = this.#socket.writableLength;
    const length = delivery.encodedBy(messageData).reduce((sum, data) => sum + data.length, 0);
    if (this.#gone || waiting === 0 || waiting + length <= this.#context.sendBufferBytes / 2) return undefined;
    if (!this.#socket.writableNeedDrain) return pause(lookAgainMs);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once("drain", resolve);
    this.#socket.once("close", resolve);
    return promise.finally(() => {
      this.#socket.off("drain", resolve);
      this.#socket.off("close", resolve);
    });
  }

  renew(token: Token | undefined): void {
    this.token = token;
  }

  get gone(): boolean {
    return this.#gone;
  }

  close(cause: CloseCause, reason: string = closeCodes[cause].reason): void {
    if (this.#gone) return;
    this.#end(cause);
    this.#response.end(closeEvent(closeCodes[cause].code, reason));
    this.#cut = setTimeout(() => this.terminate(), closeTimeoutMs);
  }

  ping(): void {
    // What waits says as much, and must not grow by pings.
    if (this.#socket.writableLength === 0) this.#write(Buffer.from(pingComment));
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
    this.#context.onGone(this, cause);
  }

  #closed(): void {
    clearTimeout(this.#cut);
    this.#end("client");
    this.#context.onClosed(this);
  }

  #idLine(): string {
    return idLine([...this.#positions.values(), ...this.#named]);
  }

  /**
   * Writes whole events. What waits already and these must fit into the send buffer, but what nothing waits before is
   * written whatever its size: else no resume could ever bring it over.
   */
  #write(events: Buffer): boolean {
    if (this.#gone) return false;
    const waiting = this.#socket.writableLength;
    if (waiting > 0 && waiting + events.length > this.#context.sendBufferBytes) {
      this.close("slow_consumer");
      return false;
    }
    // Node keeps what it makes a chunk of until the end of the turn, and it would count as waiting.
    this.#socket.cork();
    this.#response.write(events);
    this.#socket.uncork();
    return true;
  }
}
