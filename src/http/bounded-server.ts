import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { BelfryError, type ErrorCode } from "../errors.ts";
import { maxHeaders, maxTargetBytes, refuse, targetTooLong } from "../raw-http.ts";
import type { Certificate } from "./certificate.ts";
import { Turns } from "./turns.ts";

/** Most bytes of a request's head: request line and header fields. */
const maxHeaderBytes = 16 * 1024;

/** Time for a whole request, in ms. */
const requestTimeoutMs = 30_000;

/** How long an idle HTTP connection is kept, in ms: longer than the 60 s of usual load balancers, which must go first. */
const keepAliveTimeoutMs = 75_000;

/** How long a connection may stand still, in ms: longer than any answer takes, so that it is the peer that does not read its own. */
const defaultStallTimeoutMs = 120_000;

/** Settings of {@link createBoundedServer}. */
export interface ServerOptions {
  /** Time for the TLS handshake, and from there (or from the connection) for a request's head, in ms. */
  readonly handshakeTimeoutMs: number;
  readonly onRequest: RequestListener;
  /** Time in which nothing could be read nor written, after which a connection is cut, in ms; default 2 minutes. */
  readonly stallTimeoutMs?: number;
  /** Serves TLS with it; undefined: plain HTTP. */
  readonly certificate?: Certificate | undefined;
  /** Told of each connection that is refused before there is a request: an error's code, or `tls` for a handshake that failed. */
  readonly onRefused?: (reason: ErrorCode | "tls") => void;
}

/** Makes an HTTP or HTTPS server whose every wait and size is bounded, and which does not listen yet. */
export function createBoundedServer(settings: ServerOptions): Server {
  const { handshakeTimeoutMs, onRequest, stallTimeoutMs = defaultStallTimeoutMs, certificate, onRefused } = settings;
  const turns = new Turns();
  // Known to Node since 22.21 and 24.9, not yet to its types. Other upgrades are ignored, as RFC 9110 section 7.8 allows.
  const upgrades = {
    shouldUpgradeCallback: ({ headers, socket }: IncomingMessage): boolean =>
      server.listenerCount("upgrade") > 0 && /websocket/i.test(headers.upgrade ?? "") && !turns.areTaken(socket),
  };
  const serve: RequestListener = (request, response) => {
    turns.begin(request, response);
    onRequest(request, response);
  };
  const options = {
    ...upgrades,
    // Checked by checkHead, which answers as everything else is answered.
    requireHostHeader: false,
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: Math.min(handshakeTimeoutMs, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.max(10, Math.min(500, handshakeTimeoutMs / 4)),
    noDelay: true,
  };
  const server = certificate
    ? createTls(certificate, { ...options, handshakeTimeout: handshakeTimeoutMs }, serve)
    : createServer(options, serve);
  // Node drops what is beyond this number in silence; one more than allowed lets checkHead see that there were too many.
  server.maxHeadersCount = maxHeaders + 1;
  // Until ws takes a socket over, which has a heartbeat of its own.
  server.timeout = stallTimeoutMs;
  server.on("clientError", (error: ClientError, socket: Duplex) => {
    if (turns.areTaken(socket)) {
      socket.destroy(error);
      return;
    }
    const reason = answerClientError(error, socket);
    if (reason) onRefused?.(reason);
  });
  server.on("checkExpectation", serve);
  const noTunnels = new BelfryError("method_not_allowed", "this is no proxy", { allow: ["GET", "POST", "DELETE"] });
  server.on("connect", (_, socket) => {
    if (turns.areTaken(socket)) {
      socket.destroy();
      return;
    }
    refuse(socket, noTunnels);
    onRefused?.(noTunnels.code);
  });
  return server;
}

function createTls(certificate: Certificate, options: object, onRequest: RequestListener): Server {
  const server = createTlsServer({ ...options, ...certificate.options }, onRequest);
  certificate.renewFor(server);
  return server;
}

/** What Node says of a request that it could not read. */
interface ClientError extends NodeJS.ErrnoException {
  /** What came last. */
  readonly rawPacket?: Buffer;
}

/** The beginning of a request whose target is too long. */
const longTarget = new RegExp(`^[A-Z]+ [^ \\r\\n]{${maxTargetBytes + 1}}`);

const clientErrors: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: [
    "headers_too_large",
    `more than ${maxHeaders} header fields or ${maxHeaderBytes} bytes of them`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ["timeout", "the request did not arrive in time"],
};

/**
 * Answers what Node could not read as a request.
 *
 * @returns why the connection is refused; undefined when it was the peer that left
 */
function answerClientError(error: ClientError, socket: Duplex): ErrorCode | "tls" | undefined {
  // Before the end of its TLS handshake nobody could read an answer.
  if ((socket as { secureConnecting?: boolean }).secureConnecting) {
    socket.destroy();
    if (error.code === "ERR_TLS_HANDSHAKE_TIMEOUT") return "timeout";
    return error.code?.startsWith("ERR_SSL_") ? "tls" : undefined;
  }
  if (socket.destroyed) return undefined;
  if (error.code === "ECONNRESET" || !socket.writable || ((socket as Socket).bytesWritten ?? 0) > 0) {
    socket.destroy(error);
    return undefined;
  }
  const refusal = refusalOf(error);
  refuse(socket, refusal);
  return refusal.code;
}

function refusalOf({ code = "", rawPacket }: ClientError): BelfryError {
  // For Node the request line is one of the header fields.
  if (code === "HPE_HEADER_OVERFLOW" && longTarget.test(rawPacket?.toString("latin1") ?? "")) return targetTooLong();
  return new BelfryError(...(clientErrors[code] ?? ["malformed", "this is not an HTTP request"]));
}
