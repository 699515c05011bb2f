import { createHash, randomBytes } from "node:crypto";
import type { Endpoint } from "./endpoint.ts";

// One key for all connections: that each has its own matters to proxies that cache, not to a server.
const key = randomBytes(16).toString("base64");
/** RFC 6455 section 4.2.2, item 5.4. */
const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

/** What is offered with `--compression`: each message on its own, so that one compressed frame may go to everyone. */
const deflate = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/** What a handshake asks for. */
export interface HandshakeRequest {
  readonly endpoint: Endpoint;
  /** With the query. */
  readonly path: string;
  /** Offered in `Sec-WebSocket-Protocol`. */
  readonly subprotocols: readonly string[];
  readonly compression: boolean;
}

/** The request of a handshake. */
export function handshakeRequest({ endpoint, path, subprotocols, compression }: HandshakeRequest): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${endpoint.host}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${key}`,
    ...(subprotocols.length > 0 ? [`Sec-WebSocket-Protocol: ${subprotocols.join(", ")}`] : []),
    ...(compression ? [`Sec-WebSocket-Extensions: ${deflate}`] : []),
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** What a server answered to a handshake. */
export interface HandshakeAnswer {
  readonly compression: boolean;
}

/**
 * Reads the head of the answer.
 *
 * @throws Error that says how the server refused
 */
export function readHandshake(head: string): HandshakeAnswer {
  const [line = "", ...fields] = head.split("\r\n");
  if (!/^HTTP\/1\.1 101/.test(line)) throw new Error(`the server refused the WebSocket with ${line || "nothing"}`);
  const headers = new Map(
    fields.map((field) => [field.split(":", 1)[0]?.toLowerCase(), field.replace(/^[^:]*: */, "")]),
  );
  if (headers.get("sec-websocket-accept") !== accept) throw new Error("the server does not speak WebSocket");
  const extensions = headers.get("sec-websocket-extensions") ?? "";
  const compression = extensions.startsWith("permessage-deflate");
  if (compression && !extensions.includes("server_no_context_takeover")) {
    throw new Error("the server compresses with a context that spans messages; this client reads each on its own");
  }
  return { compression };
}
