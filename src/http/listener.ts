import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import {
  type AddressInfo,
  createServer as createNetServer,
  type ListenOptions,
  type Server as NetServer,
  type Socket,
} from "node:net";
import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { BelfryError, type ErrorCode } from "../errors.ts";
import { maxHeaders, refuse } from "../raw-http.ts";

/** Most bytes of a request's head: request line and header fields. */
const maxHeaderBytes = 16 * 1024;

/** Time for a whole request, in ms. */
const requestTimeoutMs = 30_000;

/** Most turns of the event loop that a closing server goes on taking connections. */
const maxClosingTurns = 1000;

/** How long an idle HTTP connection is kept, in ms: longer than the 60 s of usual load balancers, which must go first. */
const keepAliveTimeoutMs = 75_000;

/** Sockets that a listener takes connections by, where the system lets them share a port: Node takes one a turn from each. */
const acceptors = 16;

/**
 * An HTTP server whose every wait and size is bounded, and which takes many connections in one turn of the event loop: with
 * one a turn, a replica that is busy delivering would let those who reconnect wait for minutes.
 */
export class Listener {
  readonly #server: Server;
  readonly #turns = new Turns();
  /** Take connections for the server, beside itself. */
  readonly #others: NetServer[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(handshakeTimeoutMs: number, onRequest: RequestListener) {
    this.#server = createBoundedServer(handshakeTimeoutMs, onRequest, this.#turns);
    this.#server.on("connection", (socket) => this.#track(socket));
  }

  /** Hands upgrades to `websocket` over. Without it every request is served as if it asked for none. */
  onUpgrade(take: (request: IncomingMessage, socket: Duplex, head: Buffer) => void): void {
    this.#server.on("upgrade", take);
  }

  /**
   * Listens and resolves with the port.
   *
   * @throws Error of the system: EADDRINUSE, EACCES, …
   */
  async listen(port: number, host: string): Promise<number> {
    // Who shares a port does not see that another process of the same user has it already.
    if (port !== 0) await checkFree(port, host);
    const shared = await listenOn(this.#server, { port, host, reusePort: true }).catch(() => undefined);
    if (shared === undefined) return listenOn(this.#server, { port, host });
    while (this.#others.length < acceptors - 1) {
      // As http's own server makes its sockets.
      const other = createNetServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
        this.#server.emit("connection", socket);
      });
      this.#others.push(other);
      await listenOn(other, { port: shared, host, reusePort: true });
    }
    return shared;
  }

  /**
   * Stops taking connections and lets the requests under way end.
   *
   * @param timeoutMs after this time what is still open is cut
   */
  async close(timeoutMs: number): Promise<void> {
    if (!this.#server.listening) return;
    const timer = setTimeout(() => this.#server.closeAllConnections(), timeoutMs);
    await this.#backlogTaken();
    const closed = [this.#server, ...this.#others].map((server) => {
      const isClosed = server.listening ? once(server, "close") : undefined;
      server.close();
      return isClosed;
    });
    this.#server.closeIdleConnections();
    // Whoever has connected and said nothing is not idle for Node.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    await Promise.all(closed);
    clearTimeout(timer);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  /**
   * Waits for a turn of the event loop in which nobody connected. The system has connected clients that Node did not take
   * yet; to close the listening sockets would reset them, with the requests that they have sent.
   */
  async #backlogTaken(): Promise<void> {
    let connected = true;
    const onConnection = () => {
      connected = true;
    };
    this.#server.on("connection", onConnection);
    // The first turn may be over its polling already.
    await turn();
    for (let turns = 0; connected && turns < maxClosingTurns; turns++) {
      connected = false;
      await turn();
    }
    this.#server.off("connection", onConnection);
  }
}

/**
 * Knows whose turn it is on a connection. Whoever sends requests without waiting for the answers gets them in order from
 * Node, but what is written to the bare socket would come before answers that are still being made.
 */
class Turns {
  readonly #newest = new WeakMap<Duplex, ServerResponse>();

  /** A request begins to be served. */
  begin({ socket }: IncomingMessage, response: ServerResponse): void {
    this.#newest.set(socket, response);
  }

  /** Whether a request that came whole is not answered yet. */
  areTaken(socket: Duplex): boolean {
    const response = this.#newest.get(socket);
    return response?.req.complete === true && !response.writableFinished;
  }
}

function createBoundedServer(handshakeTimeoutMs: number, onRequest: RequestListener, turns: Turns): Server {
  // Known to Node since 22.21 and 24.9, not yet to its types. Other upgrades are ignored, as RFC 9110 section 7.8 allows.
  const upgrades = {
    shouldUpgradeCallback: ({ headers, socket }: IncomingMessage): boolean =>
      server.listenerCount("upgrade") > 0 && /websocket/i.test(headers.upgrade ?? "") && !turns.areTaken(socket),
  };
  const serve: RequestListener = (request, response) => {
    turns.begin(request, response);
    onRequest(request, response);
  };
  const server: Server = createServer(
    {
      ...upgrades,
      // Checked by checkHead, which answers as everything else is answered.
      requireHostHeader: false,
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: Math.min(handshakeTimeoutMs, requestTimeoutMs),
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.max(10, Math.min(500, handshakeTimeoutMs / 4)),
      noDelay: true,
    },
    serve,
  );
  // Node drops what is beyond this number in silence; one more than allowed lets checkHead see that there were too many.
  server.maxHeadersCount = maxHeaders + 1;
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (turns.areTaken(socket)) socket.destroy(error);
    else answerClientError(error, socket);
  });
  server.on("checkExpectation", serve);
  const noTunnels = new BelfryError("method_not_allowed", "this is no proxy", { allow: ["GET", "POST", "DELETE"] });
  server.on("connect", (_, socket) => {
    if (turns.areTaken(socket)) socket.destroy();
    else refuse(socket, noTunnels);
  });
  return server;
}

/** Rejects when the port cannot be listened on alone. */
async function checkFree(port: number, host: string): Promise<void> {
  const server = createNetServer((socket) => socket.destroy());
  await listenOn(server, { port, host });
  await new Promise((resolve) => server.close(resolve));
}

async function listenOn(server: NetServer, options: ListenOptions): Promise<number> {
  server.listen(options);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const clientErrors: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: [
    "headers_too_large",
    `more than ${maxHeaders} header fields or ${maxHeaderBytes} bytes of them`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ["timeout", "the request did not arrive in time"],
};

/** Answers what Node could not read as a request. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (socket.destroyed) return;
  if (error.code === "ECONNRESET" || !socket.writable || ((socket as Socket).bytesWritten ?? 0) > 0) {
    socket.destroy(error);
    return;
  }
  const [code, detail] = clientErrors[error.code ?? ""] ?? ["malformed", "this is not an HTTP request"];
  refuse(socket, new BelfryError(code, detail));
}
