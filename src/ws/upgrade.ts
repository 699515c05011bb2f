import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type Server, type ServerOptions, WebSocketServer } from "ws";
import type { Authenticator } from "../auth/authenticator.ts";
import { bearerToken } from "../auth/bearer.ts";
import { isOriginAllowed } from "../auth/origins.ts";
import type { AllowedOrigin } from "../config.ts";
import { BelfryError, toBelfryError } from "../errors.ts";
import type { Admission } from "../hub/admission.ts";
import type { Hub } from "../hub/hub.ts";
import type { Log } from "../log.ts";
import { parseSince, type Resumption } from "../protocol/since.ts";
import { parseOffer } from "../protocol/subprotocols.ts";
import { checkHead, refuse } from "../raw-http.ts";
import { chooseOffer } from "./compression.ts";
import { type ConnectionContext, ConnectionSocket, WsConnection } from "./connection.ts";

/** Settings of {@link Upgrades}. */
export interface UpgradeOptions {
  readonly hub: Hub;
  readonly log: Log;
  readonly authenticator: Authenticator;
  readonly allowedOrigins: readonly AllowedOrigin[];
  readonly maxPayloadBytes: number;
  /** Agree to compress messages for clients that offer it. */
  readonly compression: boolean;
  /** Connections of this replica; undefined: not limited. */
  readonly maxConnections?: number | undefined;
  readonly remoteAddress: (request: IncomingMessage) => string;
  readonly context: ConnectionContext;
  readonly onOpen: (connection: WsConnection) => void;
  readonly onRefused: (error: BelfryError) => void;
}

/** Path of the WebSocket endpoint. */
export const wsPath = "/ws";

/** How long a closing connection may take to answer the close frame, in ms; what waits for it is sent before. */
const closeTimeoutMs = 10_000;

/** Seconds after which a client that found the replica full or draining may come back. */
const retryAfterSeconds = 2;

/**
 * Decides every upgrade before `ws` sees the socket: a refusal is a plain HTTP answer, and whoever is let in is subscribed
 * before the handshake is answered, so that a client that sees its socket open misses nothing from then on.
 */
export class Upgrades {
  readonly #options: UpgradeOptions;
  readonly #server: Server<typeof ConnectionSocket>;
  readonly #open = new Set<ConnectionSocket>();
  #handshakes = 0;
  #draining = false;

  constructor(options: UpgradeOptions) {
    this.#options = options;
    // Known to ws since 8.19, not yet to its types.
    const closing: ServerOptions & { closeTimeout: number } = { closeTimeout: closeTimeoutMs };
    this.#server = new WebSocketServer({
      ...closing,
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

  /** From here on every upgrade is refused. */
  drain(): void {
    this.#draining = true;
  }

  /** Cuts every connection that is still open, without a close frame. */
  terminate(): void {
    for (const ws of this.#open) ws.terminate();
  }

  /** Resolves when no socket is open any more, not even one whose closing handshake is not over. */
  async closed(): Promise<void> {
    await Promise.all([...this.#open].map((ws) => new Promise((resolve) => ws.once("close", resolve))));
  }

  /** Takes one upgrade request. */
  async handle(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    // The socket has no owner until `ws` has it: an error on it must not end the process.
    socket.on("error", ignore);
    this.#handshakes++;
    let admission: Admission | undefined;
    try {
      const { user, since } = this.#check(request);
      admission = await this.#options.hub.admit(user, since);
      if (this.#draining) throw draining();
      if (socket.destroyed || !socket.writable) throw new BelfryError("malformed", "the client has gone");
      this.#complete(request, socket, head, user, admission);
    } catch (thrown) {
      if (admission) this.#options.hub.dismiss(admission);
      const error = toBelfryError(thrown);
      const err = error.level === "error" ? { err: error.cause } : {};
      this.#options.log[error.level]({ code: error.code, detail: error.message, ...err }, "upgrade refused");
      this.#options.onRefused(error);
      refuse(socket, error);
    } finally {
      this.#handshakes--;
    }
  }

  /** Everything that can be decided at once. */
  #check(request: IncomingMessage): { user: string | null; since: Resumption } {
    const { allowedOrigins, authenticator, maxConnections } = this.#options;
    const [path, query = ""] = request.url?.split("?", 2) ?? [];
    if (path !== wsPath) throw new BelfryError("not_found", "the WebSocket is at /ws");
    checkHead(request);
    const { headers } = request;
    if (!isOriginAllowed(headers.origin, allowedOrigins)) {
      throw new BelfryError("forbidden", "pages of this origin may not connect; ALLOWED_ORIGINS names those that may");
    }
    checkHandshake(request);
    if (this.#draining) throw draining();
    if (maxConnections !== undefined && this.#open.size + this.#handshakes > maxConnections) {
      throw new BelfryError("unavailable", "this replica is full", { retryAfterSeconds });
    }
    const offer = parseOffer(headers["sec-websocket-protocol"]);
    if (typeof offer === "string") throw new BelfryError("malformed", offer);
    const { user } = authenticator.authenticate(offer.flag ?? bearerToken(headers.authorization));
    const since = parseSince(query);
    if (typeof since === "string") throw new BelfryError("malformed", since);
    return { user, since };
  }

  /** Apart from where the request is in reach, or the listener would keep it for as long as the connection lives. */
  #track(ws: ConnectionSocket): void {
    this.#open.add(ws);
    ws.on("close", () => this.#open.delete(ws));
  }

  #complete(request: IncomingMessage, socket: Duplex, head: Buffer, user: string | null, admission: Admission): void {
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
      const { context, hub, onOpen, remoteAddress } = this.#options;
      const connection = new WsConnection(ws, socket, user, remoteAddress(request), context);
      // Before it is registered: in there it may be turned away, or closed by a listener.
      onOpen(connection);
      hub.register(connection, admission);
    });
    // `ws` answered the request itself: it saw something wrong that the checks above let pass.
    if (!upgraded) this.#options.hub.dismiss(admission);
    socket.uncork();
    socket.off("error", ignore);
  }
}

function ignore(): void {}

function draining(): BelfryError {
  return new BelfryError("unavailable", "this replica is shutting down", { retryAfterSeconds });
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
