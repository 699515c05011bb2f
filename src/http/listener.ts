import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
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

/** Makes an HTTP server whose every wait and size is bounded. */
export function createListener(handshakeTimeoutMs: number, onRequest: RequestListener): Server {
  // Known to Node since 22.21 and 24.9, not yet to its types. Other upgrades are ignored, as RFC 9110 section 7.8 allows.
  const upgrades = {
    shouldUpgradeCallback: ({ headers }: IncomingMessage): boolean =>
      server.listenerCount("upgrade") > 0 && /websocket/i.test(headers.upgrade ?? ""),
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
    onRequest,
  );
  // Node drops what is beyond this number in silence; one more than allowed lets checkHead see that there were too many.
  server.maxHeadersCount = maxHeaders + 1;
  server.on("clientError", answerClientError);
  server.on("checkExpectation", onRequest);
  const noTunnels = new BelfryError("method_not_allowed", "this is no proxy", { allow: ["GET", "POST", "DELETE"] });
  server.on("connect", (_, socket) => refuse(socket, noTunnels));
  const sockets = new Set<Socket>();
  openSockets.set(server, sockets);
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  return server;
}

const openSockets = new WeakMap<Server, Set<Socket>>();

/** Listens and resolves with the port. */
export async function listen(server: Server, port: number, host: string): Promise<number> {
  server.listen(port, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/**
 * Stops taking connections and lets the requests under way end.
 *
 * @param timeoutMs after this time what is still open is cut
 */
export async function closeListener(server: Server, timeoutMs: number): Promise<void> {
  if (!server.listening) return;
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
  await backlogTaken(server);
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  // Whoever has connected and said nothing is not idle for Node.
  for (const socket of openSockets.get(server) ?? []) if (socket.bytesRead === 0) socket.destroy();
  await closed;
  clearTimeout(timer);
}

/**
 * Waits for a turn of the event loop in which nobody connected. The system has connected clients that Node did not take
 * yet, one a turn; to close the listening socket would reset them, with the requests that they have sent.
 */
async function backlogTaken(server: Server): Promise<void> {
  let connected = true;
  const onConnection = () => {
    connected = true;
  };
  server.on("connection", onConnection);
  // The first turn may be over its polling already.
  await turn();
  for (let turns = 0; connected && turns < maxClosingTurns; turns++) {
    connected = false;
    await turn();
  }
  server.off("connection", onConnection);
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
