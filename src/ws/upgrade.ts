import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type Server, type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import { bearerToken } from "../auth/bearer.ts";
import type { ConnectionContext } from "../client-connection.ts";
import type { Credentials } from "../credentials.ts";
import type { Arrival, Entrance } from "../entrance.ts";
import { BelfryError, toBelfryError } from "../errors.ts";
import type { Admission } from "../hub/admission.ts";
import type { Hub } from "../hub/hub.ts";
import type { Log } from "../log.ts";
import { closeCodes } from "../protocol/close-codes.ts";
import { parseOffer } from "../protocol/subprotocols.ts";
import { checkHead, refuse } from "../raw-http.ts";
import { closeReason } from "./close-reason.ts";
import { chooseOffer } from "./compression.ts";
import { ConnectionSocket, WsConnection } from "./connection.ts";

/** Settings of {@link Upgrades}. */
export interface UpgradeOptions {
  readonly hub: Pick<Hub, "register">;
  readonly log: Log;
  readonly entrance: Entrance;
  readonly maxPayloadBytes: number;
  /** Agree to compress messages for clients that offer it. */
  readonly compression: boolean;
  readonly remoteAddress: (request: IncomingMessage) => string;
  readonly context: ConnectionContext;
  readonly onOpen: (connection: WsConnection) => void;
  readonly onRefused: (error: BelfryError) => void;
}

/** Path of the WebSocket endpoint. */
export const wsPath = "/ws";

/** How long a closing connection may take to answer the close frame, in ms; what waits for it is sent before. */
const closeTimeoutMs = 10_000;

/** How long a client that is told why it was not let in may take to hang up, in ms. It has no place among the connections. */
const refusedCloseMs = 2000;

/** Pieces of one message of a client's: each costs much more than the byte that it may hold. */
const maxFragments = 1024;

/**
 * Decides every upgrade before `ws` sees the socket: a refusal is a plain HTTP answer, and whoever is let in is subscribed
 * before the handshake is answered, so that a client that sees its socket open misses nothing from then on.
 */
export class Upgrades {
  readonly #options: UpgradeOptions;
  readonly #server: Server<typeof ConnectionSocket>;
  /** One for all sockets: one of its own would cost each of them memory, and keep what it was made beside in reach. */
  readonly #onClose: (this: WebSocket) => void;

  constructor(options: UpgradeOptions) {
    this.#options = options;
    const { entrance } = options;
    this.#onClose = function leave() {
      entrance.leave(this);
    };
    // Known to ws, not yet to its types.
    const bounds: ServerOptions & { closeTimeout: number; maxFragments: number } = {
      closeTimeout: closeTimeoutMs,
      maxFragments,
    };
    this.#server = new WebSocketServer({
      ...bounds,
      noServer: true,
      clientTracking: false,
      // Pings count as frames, and are answered by the connection.
      autoPong: false,
      perMessageDeflate: options.compression && {
        serverNoContextTakeover: true,
        clientNoContextTakeover: true,
        // What a client's frames are inflated into: they are small, and each client has one of its own.
        zlibInflateOptions: { chunkSize: 1024 },
      },
      maxPayload: options.maxPayloadBytes,
      WebSocket: ConnectionSocket,
      handleProtocols: (_, request) => {
        const offer = parseOffer(request.headers["sec-websocket-protocol"]);
        return (typeof offer === "object" && offer.selected) || false;
      },
    });
  }

  /** Takes one upgrade request. */
  async handle(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    // The socket has no owner until `ws` has it: an error on it must not end the process.
    socket.on("error", ignore);
    let hasPresented = false;
    try {
      const arrival = arrivalOf(request);
      hasPresented = arrival.presented !== undefined;
      await this.#options.entrance.enter(arrival, (credentials, admission) => {
        if (socket.destroyed || !socket.writable) throw new BelfryError("malformed", "the client has gone");
        return this.#register(request, socket, head, credentials, admission);
      });
    } catch (thrown) {
      this.#refuse(request, socket, head, toBelfryError(thrown), hasPresented);
    }
  }

  #refuse(request: IncomingMessage, socket: Duplex, head: Buffer, error: BelfryError, hasPresented: boolean): void {
    const { log, onRefused } = this.#options;
    const err = error.level === "error" ? { err: error.cause } : {};
    log[error.level]({ code: error.code, detail: error.message, ...err }, "upgrade refused");
    onRefused(error);
    // A browser shows a refused handshake as 1006, whatever the reason: this one must reach the page.
    if (error.code === "unauthorized" && hasPresented && socket.writable) {
      this.#upgrade(request, socket, head, (ws) => this.#closeRefused(ws, error.message));
    } else {
      refuse(socket, error);
    }
  }

  #closeRefused(ws: ConnectionSocket, reason: string): void {
    this.#options.entrance.turnAway(ws);
    const cut = setTimeout(() => ws.terminate(), refusedCloseMs);
    ws.on("close", () => clearTimeout(cut));
    ws.on("error", ignore).close(closeCodes.unauthorized.code, closeReason(reason));
  }

  /** @returns false when the handshake was not completed */
  #register(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    credentials: Credentials,
    admission: Admission,
  ): boolean {
    const { context, hub, onOpen, remoteAddress } = this.#options;
    return this.#upgrade(request, socket, head, (ws) => {
      const connection = new WsConnection(ws, socket, credentials, remoteAddress(request), context);
      // Before it is registered: in there it may be turned away, or closed by a listener.
      onOpen(connection);
      hub.register(connection, admission);
    });
  }

  /** Completes the handshake; false when `ws` answered the request itself, since it saw something wrong that the checks let pass. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, onOpen: (ws: ConnectionSocket) => void): boolean {
    let upgraded = false;
    const offer = chooseOffer(request.headers["sec-websocket-extensions"]);
    // `ws` would refuse a client whose offers it cannot serve, instead of declining them.
    if (offer === undefined) delete request.headers["sec-websocket-extensions"];
    else request.headers["sec-websocket-extensions"] = offer;
    // The answer to the handshake and the welcome go out in one write.
    socket.cork();
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      upgraded = true;
      this.#track(ws);
      onOpen(ws);
    });
    socket.uncork();
    socket.off("error", ignore);
    return upgraded;
  }

  #track(ws: ConnectionSocket): void {
    this.#options.entrance.occupy(ws);
    ws.on("close", this.#onClose);
  }
}

function ignore(): void {}

/** What the client says of itself. */
function arrivalOf(request: IncomingMessage): Arrival {
  checkHead(request);
  const { headers, url = "" } = request;
  const [path, ...query] = url.split("?");
  if (path !== wsPath) throw new BelfryError("not_found", "the WebSocket is at /ws");
  checkHandshake(request);
  const offer = parseOffer(headers["sec-websocket-protocol"]);
  if (typeof offer === "string") throw new BelfryError("malformed", offer);
  const presented = offer.flag ?? bearerToken(headers.authorization);
  return { origin: headers.origin, presented, query: query.join("?") };
}

/** RFC 6455 section 4.2.1. */
function checkHandshake({ method, headers, httpVersion }: IncomingMessage): void {
  if (httpVersion !== "1.1") throw new BelfryError("malformed", "a handshake is HTTP/1.1");
  if (method !== "GET") throw new BelfryError("method_not_allowed", "a handshake is a GET", { allow: ["GET"] });
  if (headers.upgrade?.toLowerCase() !== "websocket") {
    throw new BelfryError("upgrade_required", "the Upgrade header does not say websocket");
  }
  if (headers["sec-websocket-version"] !== "13") {
    throw new BelfryError("upgrade_required", "Sec-WebSocket-Version is not 13");
  }
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) {
    throw new BelfryError("malformed", "Sec-WebSocket-Key is not the base64 of 16 bytes");
  }
}
