import { randomUUID } from "node:crypto";
import type { Credentials, Token } from "./credentials.ts";
import type { Pulsed } from "./heartbeat.ts";
import type { Connection, EndCause, Transport, Welcome } from "./hub/connection.ts";
import { type Delivery, type Piece, pieceOf } from "./hub/delivery.ts";
import { keepsUp, Outbox, type OutboxOptions } from "./hub/outbox.ts";
import { type Outlet, written } from "./hub/outlet.ts";
import { Intake, type IntakeOptions } from "./intake.ts";
import { type CloseCause, closeCodes } from "./protocol/close-codes.ts";
import type { ServerFrame, WelcomeFrame } from "./protocol/frames.ts";

/** What the connections of one service share. */
export interface ConnectionContext extends IntakeOptions, OutboxOptions {
  /** Longest time between two pings, in ms; said in the welcome frame. */
  readonly pingIntervalMs: number;
  /** The connection is going; called once, before the client is told why or when it has gone. */
  readonly onGone: (connection: Connection & Pulsed, cause: EndCause) => void;
}

/**
 * One client's connection, from its registration to its end, whatever the transport: how its bytes are written or wait, and
 * how it ends. A transport says how things are encoded and how the client is told.
 */
export abstract class ClientConnection implements Connection, Pulsed {
  readonly id = randomUUID();
  abstract readonly transport: Transport;
  readonly connectedAtMs = Date.now();
  readonly user: string | null;
  readonly remote: string;
  abstract readonly lastSeenMs: number;
  nextPingMs = 0;
  oldAtMs = Number.POSITIVE_INFINITY;
  token: Token | undefined;
  protected readonly context: ConnectionContext;
  protected readonly intake: Intake;
  readonly #outlet: Outlet;
  /** What waits in front of the outlet; most clients keep up, and have none. */
  #outbox: Outbox | undefined;
  #gone = false;

  /** @param outlet takes whole frames, or whatever else the transport makes of them */
  constructor(outlet: Outlet, { user, token }: Credentials, remote: string, context: ConnectionContext) {
    this.#outlet = outlet;
    this.context = context;
    this.user = user;
    this.token = token;
    this.remote = remote;
    this.intake = new Intake(this, context, performance.now());
  }

  abstract welcome(welcome: Welcome): void;

  abstract send(frame: ServerFrame): void;

  abstract deliver(delivery: Delivery): boolean;

  abstract pace(delivery: Delivery): Promise<void> | undefined;

  abstract ping(): void;

  abstract terminate(): void;

  /** Tells the client why the connection ends, and ends it. */
  protected abstract hangUp(code: number, reason: string): void;

  cork(): void {
    this.#outlet.cork();
  }

  uncork(): void {
    this.#outlet.uncork();
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
    this.hangUp(closeCodes[cause].code, reason);
  }

  /** Reports once that the connection is going. */
  end(cause: EndCause): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#outbox?.clear();
    this.context.onGone(this, cause);
  }

  /** Nothing waits for the client to read it. */
  protected get isIdle(): boolean {
    return !this.#outbox && this.#outlet.writableLength === 0;
  }

  protected welcomeFrame({ positions, recovered }: Welcome): WelcomeFrame {
    const { id: connection, user } = this;
    return { type: "welcome", connection, user, positions, recovered, heartbeat: this.context.pingIntervalMs };
  }

  /** As {@link Connection.pace} for so many bytes. */
  protected paceOf(bytes: number): Promise<void> | undefined {
    const waiting = this.#outlet.writableLength + (this.#outbox?.bytes ?? 0);
    if (this.#gone || waiting === 0 || waiting + bytes <= this.context.sendBufferBytes / 2) return undefined;
    return written(this.#outlet);
  }

  /** Writes what is no message, or lets it wait. */
  protected write(bytes: Buffer): void {
    if (!this.#gone && !this.writeNow(bytes)) this.queue([pieceOf(bytes)]);
  }

  /** Writes bytes, unless so much waits before them that they are to wait in the outbox. */
  protected writeNow(bytes: Buffer): boolean {
    if (this.#outbox || !keepsUp(this.#outlet, bytes.length, this.context.sendBufferBytes)) return false;
    this.#outlet.write(bytes);
    return true;
  }

  /** Lets pieces wait, or closes the connection as slow when too much waits. */
  protected queue(pieces: readonly Piece[]): boolean {
    this.#outbox ??= new Outbox(this.#outlet, this.context, () => {
      this.#outbox = undefined;
    });
    if (this.#outbox.add(pieces)) return true;
    this.close("slow_consumer");
    return false;
  }
}
