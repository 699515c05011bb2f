import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { BelfryError } from "./errors.ts";

/** Most header fields of a request. */
export const maxHeaders = 100;

/** Longest request target (path and query), in bytes. A user id of 128 characters, percent-encoded, has 1,536. */
export const maxTargetBytes = 4096;

/** The target of a request is longer than {@link maxTargetBytes}. */
export function targetTooLong(): BelfryError {
  return new BelfryError("uri_too_long", `the path and query are longer than ${maxTargetBytes} bytes`);
}

/**
 * Checks what every request and handshake must keep to.
 *
 * @throws BelfryError `uri_too_long`, `headers_too_large`, `malformed`, `expectation_failed`
 */
export function checkHead(request: IncomingMessage): void {
  const { rawHeaders, headers, httpVersion, url = "" } = request;
  if (url.length > maxTargetBytes) throw targetTooLong();
  if (rawHeaders.length > 2 * maxHeaders) {
    throw new BelfryError("headers_too_large", `more than ${maxHeaders} header fields`);
  }
  // RFC 9110 sections 7.2 and 10.1.1.
  if (httpVersion !== "1.0" && headers.host === undefined)
    throw new BelfryError("malformed", "there is no Host header");
  if ((headers.expect ?? "100-continue").toLowerCase() !== "100-continue") {
    throw new BelfryError("expectation_failed", "no expectation but 100-continue can be met");
  }
}

/** Answers on a bare socket, where there is no response object, and ends the connection. */
export function refuse(socket: Duplex, error: BelfryError): void {
  if (socket.destroyed) return;
  // Node has given the socket up: a peer that resets it before it reads the answer must not end the process.
  socket.on("error", ignore);
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

function ignore(): void {}
