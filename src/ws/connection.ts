import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { ClientConnection, type ConnectionContext } from "../client-connection.ts";
import type { Credentials } from "../credentials.ts";
import type { Welcome } from "../hub/connection.ts";
import type { Delivery } from "../hub/delivery.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import { closeReason } from "./close-reason.ts";
import { compressedMessageFrames, jsonFrame, messageFrames } from "./frame.ts";

/** The socket of `ws` that knows its connection, so that one set of listeners serves all sockets. */
export class ConnectionSocket extends WebSocket {
  connection: WsConnection | undefined;
}

/** One WebSocket, from its registration to its end. */
export class WsConnection extends ClientConnection {
  readonly transport = "ws";
  lastSeenMs = performance.now();
  readonly #ws: ConnectionSocket;
  readonly #socket: Duplex;
  /** One of the functions of all connections, so that what it makes is shared. */
  readonly #encode: typeof messageFrames;
  /** A ping waits for its pong. */
  #isPinged = false;

  /** @param socket the stream under `ws`; whole frames are written to it beside those that `ws` writes itself */
  constructor(
    ws: ConnectionSocket,
    socket: Duplex,
    credentials: Credentials,
    remote: string,
    context: ConnectionContext,
  ) {
    super(socket, credentials, remote, context);
    this.#ws = ws;
    this.#socket = socket;
    this.#encode = ws.extensions === "" ? messageFrames : compressedMessageFrames;
    ws.connection = this;
    ws.on("message", onMessage);
    ws.on("ping", onPing);
    ws.on("pong", onPong);
    ws.on("error", onError);
    ws.on("close", onClose);
  }

  welcome(welcome: Welcome): void {
    this.write(jsonFrame(this.welcomeFrame(welcome)));
  }

  /** The answers to frames that came together are one write; one that comes alone goes in the same turn. */
  send(frame: ServerFrame): void {
    if (this.gone) return;
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      process.nextTick(uncork, this.#socket);
    }
    this.write(jsonFrame(frame));
  }

  deliver(delivery: Delivery): boolean {
    if (this.gone) return false;
    return this.writeNow(delivery.encodedBy(this.#encode)) || this.queue(delivery.piecesBy(this.#encode));
  }

  pace(delivery: Delivery): Promise<void> | undefined {
    return this.paceOf(delivery.encodedBy(this.#encode).length);
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

  /** Takes a whole message of the client's. */
  receive(data: Buffer, isBinary: boolean): void {
    if (!this.#takesFrame()) return;
    if (isBinary) this.close("unsupported_data");
    else this.intake.take(data.toString());
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
    if (this.gone) return false;
    this.lastSeenMs = performance.now();
    if (this.intake.count(this.lastSeenMs) === 0) return true;
    this.close("too_many", `more than ${this.context.maxClientFramesPerSecond} frames a second`);
    return false;
  }

  protected hangUp(code: number, reason: string): void {
    this.#ws.close(code, closeReason(reason));
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
