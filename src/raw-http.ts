import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { BelfryError } from "./errors.ts";

/** Most header fields of a request. */
export const maxHeaders = 100;

/**
 * Bounds the number of header fields, of requests and of handshakes.
 *
 * @throws BelfryError `headers_too_large`
 */
export function checkHead(request: IncomingMessage): void {
  if (request.rawHeaders.length > 2 * maxHeaders) {
    throw new BelfryError("headers_too_large", `more than ${maxHeaders} header fields`);
  }
}

/** Answers on a bare socket, where there is no response object, and ends the connection. */
export function refuse(socket: Duplex, error: BelfryError): void {
  if (socket.destroyed) return;
  const body = JSON.stringify(error.toProblem());
  const headers = {
    Connection: "close",
    ...error.toHeaders(),
    "Content-Type": "application/problem+json",
    "Content-Length": Buffer.byteLength(body),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.once("finish", () => socket.destroy());
  socket.end(`HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\n${lines.join("")}\r\n${body}`);
}
