import { request } from "node:http";
import { WebSocket } from "ws";
import { EventReader } from "../test/support/event-reader.ts";

/** Ways to connect. */
export type Transport = "ws" | "sse";

/** What a client connects with. */
export interface LinkOptions {
  readonly port: number;
  readonly user: string;
  /** Ids to resume from, one of each stream. */
  readonly since: readonly string[];
  /** By Server-Sent Events: the id of the last event; undefined: none came yet. */
  readonly lastEventId: string | undefined;
  /** Anything came. */
  readonly onSign: () => void;
  /** A frame came; with the id of its event. */
  readonly onFrame: (text: string, lastEventId: string) => void;
  /** It has ended, or never began; called once. 1006: without a word. */
  readonly onEnd: (code: number, reason: string) => void;
}

/** A connection, or one that is to be. */
export interface Link {
  /** Sends a frame; undefined where frames have to be posted. */
  readonly send: ((text: string) => void) | undefined;
  terminate(): void;
}

/** Longest wait for the end of a handshake, in ms. */
const handshakeTimeoutMs = 3000;

/** Connects. */
export const open: Readonly<Record<Transport, (options: LinkOptions) => Link>> = { ws: openWebSocket, sse: openStream };

function openWebSocket({ port, user, since, onSign, onFrame, onEnd }: LinkOptions): Link {
  const query = since.map((id) => `since=${id}`).join("&");
  const url = `ws://127.0.0.1:${port}/ws${query && `?${query}`}`;
  const ws = new WebSocket(url, ["belfry.v1", user], { handshakeTimeout: handshakeTimeoutMs });
  ws.on("error", () => {});
  ws.on("ping", onSign);
  ws.on("message", (data) => {
    onSign();
    onFrame(String(data), "");
  });
  ws.on("close", (code, reason) => onEnd(code, String(reason)));
  return { send: (text) => ws.send(text, () => {}), terminate: () => ws.terminate() };
}

function openStream({ port, user, lastEventId, onSign, onFrame, onEnd }: LinkOptions): Link {
  const headers = {
    Authorization: `Bearer ${user}`,
    ...(lastEventId !== undefined && { "Last-Event-ID": lastEventId }),
  };
  let ending = { code: 1006, reason: "" };
  const outgoing = request({ host: "127.0.0.1", port, path: "/sse", headers, agent: false });
  const handshake = setTimeout(() => outgoing.destroy(), handshakeTimeoutMs);
  const reader = new EventReader(({ type, data, lastEventId: id }) => {
    if (type === "close") ending = JSON.parse(data) as typeof ending;
    else onFrame(data, id);
  });
  outgoing.on("response", (response) => {
    clearTimeout(handshake);
    response.on("error", () => {});
    response.on("data", (piece: Buffer) => {
      if (response.statusCode !== 200) return;
      onSign();
      reader.read(piece);
    });
  });
  outgoing.on("error", () => {});
  outgoing.on("close", () => {
    clearTimeout(handshake);
    onEnd(ending.code, ending.reason);
  });
  outgoing.end();
  return { send: undefined, terminate: () => outgoing.destroy() };
}
