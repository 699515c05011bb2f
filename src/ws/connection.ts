import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import type { Credentials, Token } from "../credentials.ts";
import type { Pulsed } from "../heartbeat.ts";
import type { Connection, EndCause, Welcome } from "../hub/connection.ts";
import { type Delivery, type Piece, pieceOf } from "../hub/delivery.ts";
import { keepsUp, Outbox, type OutboxOptions } from "../hub/outbox.ts";
import { written } from "../hub/outlet.ts";
import { Intake, type IntakeOptions } from "../intake.ts";
import { type CloseCause, closeCodes } from "../protocol/close-codes.ts";
import type { ServerFrame, WelcomeFrame } from "../protocol/frames.ts";
import { closeReason } from "./close-reason.ts";
import { compressedMessageFrames, jsonFrame, messageFrames } from "./frame.ts";

/** What the connections of one service share. */
export interface ConnectionContext extends IntakeOptions, OutboxOptions {
  /** Longest time between two pings, in ms; said in the welcome frame. */
  readonly pingIntervalMs: number;
  /** The connection is going; called once, before the close frame is sent or when the socket is gone. */
  readonly onGone: (connection: WsConnection, cause: EndCause) => void;
}

/** The socket of `ws` that knows its connection, so that one set of listeners serves all sockets. */
export class ConnectionSocket extends WebSocket {
  connection: WsConnection | undefined;
}

/** One WebSocket, from its registration to its end. */
export class WsConnection implements Connection, Pulsed {
  readonly id = randomUUID();
  readonly transport = "ws";
  readonly connectedAtMs = Date.now();
  readonly user: string | null;
  readonly remote: string;
  lastSeenMs = performance.now();
  nextPingMs = 0;
  oldAtMs = Number.POSITIVE_INFINITY;
  token: Token | undefined;
  readonly #context: ConnectionContext;
  readonly #ws: ConnectionSocket;
  readonly #socket: Duplex;
  readonly #intake: Intake;
  /** One of the functions of all connections, so that what it makes is shared. */
  readonly #encode: typeof messageFrames;
  /** What waits in front of the socket; most clients keep up, and have none. */
  #outbox: Outbox | undefined;
  /** A ping waits for its pong. */
  #isPinged = false;
  #gone = false;

  /** @param socket the stream under `ws`; whole frames are written to it beside those that `ws` writes itself */
  constructor(
    ws: ConnectionSocket,
    socket: Duplex,
    { user, token }: Credentials,
    remote: string,
    context: ConnectionContext,
  ) {
    this.#ws = ws;
    this.#socket = socket;
    this.#context = context;
    this.user = user;
    this.token = token;
    this.remote = remote;
    this.#encode = ws.extensions === "" ? messageFrames : compressedMessageFrames;
    this.#intake = new Intake(this, context, this.lastSeenMs);
    ws.connection = this;
    ws.on("message", onMessage);
    ws.on("ping", onPing);
    ws.on("pong", onPong);
    ws.on("error", onError);
    ws.on("close", onClose);
  }

  welcome({ positions, recovered }: Welcome): void {
    const frame: WelcomeFrame = {
      type: "welcome",
      connection: this.id,
      user: this.user,
      positions,
      recovered,
      heartbeat: this.#context.pingIntervalMs,
    };
    this.#send(jsonFrame(frame));
  }

  send(frame: ServerFrame): void {
    this.#send(jsonFrame(frame));
  }

  deliver(delivery: Delivery): boolean {
    if (this.#gone) return false;
    return this.#writeNow(delivery.encodedBy(this.#encode)) || this.#queue(delivery.piecesBy(this.#encode));
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  pace(delivery: Delivery): Promise<void> | undefined {
    const waiting = this.#socket.writableLength + (this.#outbox?.bytes ?? 0);
    const { length } = delivery.encodedBy(this.#encode);
    if (this.#gone || waiting === 0 || waiting + length <= this.#context.sendBufferBytes / 2) return undefined;
    return written(this.#socket);
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
    this.end(cause);
    this.#ws.close(closeCodes[cause].code, closeReason(reason));
  }

  ping(): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return;
    this.#isPinged = true;
    this.#ws.ping();
  }

  terminate(): void {
    this.end("heartbeat");
    this.#ws.terminate();
  }

  /** Reports once that the connection is going. */
  end(cause: EndCause): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#outbox?.clear();
    this.#context.onGone(this, cause);
  }

  /** Takes a whole message of the client's. */
  receive(data: Buffer, isBinary: boolean): void {
    if (!this.#takesFrame()) return;
    if (isBinary) this.close("unsupported_data");
    else this.#intake.take(data.toString());
  }

  /** Answers a ping of the client's (RFC 6455 section 5.5.3). */
  pong(data: Buffer): void {
    if (this.#takesFrame()) this.#ws.pong(data);
  }

  /** Takes a pong; one that no ping has asked for counts as a frame, or it would be a way to send without end. */
  ponged(): void {
    if (!this.#isPinged) {
      this.#takesFrame();
      return;
    }
    this.#isPinged = false;
    this.lastSeenMs = performance.now();
  }

  /** Counts a frame of the client's; false when the connection is going, because of this frame or already. */
  #takesFrame(): boolean {
    if (this.#gone) return false;
    this.lastSeenMs = performance.now();
    if (this.#intake.count(this.lastSeenMs) === 0) return true;
    this.close("too_many", `more than ${this.#context.maxClientFramesPerSecond} frames a second`);
    return false;
  }

  /** Sends a frame; the answers to frames that came together are one write, and one that comes alone goes in the same turn. */
  #send(frame: Buffer): void {
    if (this.#gone) return;
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      process.nextTick(uncork, this.#socket);
    }
    if (!this.#writeNow(frame)) this.#queue([pieceOf(frame)]);
  }

  /** Writes whole frames, unless so much waits before them that they are to wait in the outbox. */
  #writeNow(frames: Buffer): boolean {
    if (this.#outbox || !keepsUp(this.#socket, frames.length, this.#context.sendBufferBytes)) return false;
    this.#socket.write(frames);
    return true;
  }

  /** Lets whole frames wait, or closes the connection as slow when too much waits. */
  #queue(pieces: readonly Piece[]): boolean {
    this.#outbox ??= new Outbox(this.#socket, this.#context, () => {
      this.#outbox = undefined;
    });
    if (this.#outbox.add(pieces)) return true;
    this.close("slow_consumer");
    return false;
  }
}

function uncork(socket: Duplex): void {
  socket.uncork();
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  (this as ConnectionSocket).connection?.receive(data as Buffer, isBinary);
}

function onPing(this: WebSocket, data: Buffer): void {
  (this as ConnectionSocket).connection?.pong(data);
}

function onPong(this: WebSocket): void {
  (this as ConnectionSocket).connection?.ponged();
}

/** `ws` found a violation of the protocol and is closing with 1002, 1007 or 1009, or the socket broke. */
function onError(this: WebSocket, error: Error): void {
  const { code } = error as NodeJS.ErrnoException;
  (this as ConnectionSocket).connection?.end(code?.startsWith("WS_ERR_") ? "protocol_error" : "client");
}

function onClose(this: WebSocket): void {
  (this as ConnectionSocket).connection?.end("client");
}
