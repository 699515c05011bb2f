import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { Exchange } from "./exchange.ts";
import type { Calls, Refusal } from "./wire.ts";

const url = process.env["BELFRY_URL"] ?? "ws://127.0.0.1:8080/ws";
const user = process.env["TUNNEL"] ?? "tunnel";
const target = new URL(process.env["TARGET"] ?? "http://127.0.0.1:3000");
/** Where the service checks tokens, it says who the user is; otherwise the name does, in a form that is always legal. */
const flag = process.env["TOKEN"] ?? `u.${Buffer.from(user).toString("base64url")}`;
const framesPerSecond = Number(process.env["MAX_CLIENT_FRAMES_PER_SECOND"] ?? 50);

/** HTTP requests under way; one more is refused. */
const maxStreams = 1000;
/** A stream that nobody asks for anything for so long has been forgotten. */
const idleMs = 60_000;

interface Stream {
  readonly exchange: Exchange;
  readonly idle: NodeJS.Timeout;
}

/** Streams of this process begin with it, so that several clients of one tunnel know whose a call is. */
const me = randomUUID();
const streams = new Map<string, Stream>();
let opened = 0;

function open(ask: Calls["open"]["ask"]): Calls["open"]["answer"] | Refusal {
  // What is no path, such as an absolute URL, is none of this server's.
  if (!ask.path.startsWith("/")) return { error: "only paths are served" };
  if (streams.size >= maxStreams) return { error: "too many requests are under way" };
  const stream = `${me}.${opened++}`;
  const idle = setTimeout(() => drop(stream), idleMs);
  streams.set(stream, { exchange: new Exchange(target, ask), idle });
  return { stream };
}

function drop(stream: string): void {
  const { exchange, idle } = streams.get(stream) ?? {};
  clearTimeout(idle);
  exchange?.close();
  streams.delete(stream);
}

interface RequestFrame {
  readonly type: "request";
  readonly id: string;
  readonly event?: string;
  // biome-ignore lint/suspicious/noExplicitAny: `event` says which of the calls it is
  readonly data: any;
}

type Frame = RequestFrame | { type: "welcome" } | { type: "error"; code: string; ref?: string };

/** Does what is asked, and resolves with the data of the reply; undefined: another client replies. */
async function answer({ event, data }: RequestFrame): Promise<object | undefined> {
  if (event === "open") return open(data);
  const name = String(data?.stream);
  if (!name.startsWith(me)) return undefined;
  const { exchange, idle } = streams.get(name) ?? {};
  if (!exchange) return { error: "there is no such stream, or not any more" };
  idle?.refresh();
  try {
    if (event === "head") return await exchange.head(data);
    if (event === "read") return await exchange.read(data);
    if (event === "write") return await exchange.write(data);
    if (event === "drain") return await exchange.drain(data);
    if (event === "close") drop(name);
    return {};
  } catch (error) {
    return { error: `the server behind the tunnel: ${error instanceof Error ? error.message : error}` };
  }
}

let nextAt = 0;

/** Keeps the client within what the service allows it; whatever is above it would end the connection. */
async function pace(): Promise<void> {
  // A tenth less, since frames that were held up on their way come together.
  const gap = 1000 / (framesPerSecond * 0.9);
  nextAt = Math.max(nextAt + gap, performance.now());
  const wait = nextAt - performance.now();
  if (wait >= 1) await delay(wait);
}

async function take(ws: WebSocket, text: string): Promise<void> {
  const frame = JSON.parse(text) as Frame;
  if (frame.type === "error") {
    // Its reply came too late, or another client was faster: nobody waits for the rest of the stream.
    if (frame.code === "not_found" && frame.ref) drop(frame.ref);
    else console.error(frame);
  }
  if (frame.type === "welcome") console.log(`The tunnel ${user} leads to ${target.origin}`);
  if (frame.type !== "request") return;
  const data = await answer(frame);
  if (!data) return;
  await pace();
  const { stream } = { ...frame.data, ...data };
  ws.send(JSON.stringify({ type: "reply", id: frame.id, ref: stream, data }), () => {});
}

/** Serves until the connection is over; resolves with how it ended. */
async function connect(): Promise<{ code: number; reason: string }> {
  const ws = new WebSocket(url, ["belfry.v1", flag], { perMessageDeflate: false, handshakeTimeout: 10_000 });
  // The service pings every 25 s by default: when it is silent for so long, the way to it is broken.
  const silence = setTimeout(() => ws.terminate(), 60_000);
  ws.on("ping", () => silence.refresh());
  ws.on("error", ({ message }) => console.error(message));
  ws.on("message", (text) => {
    silence.refresh();
    void take(ws, String(text));
  });
  return new Promise((resolve) => {
    ws.on("close", (code, reason) => {
      clearTimeout(silence);
      resolve({ code, reason: String(reason) });
    });
  });
}

/** Connections in a row that did not last. */
let failures = 0;
for (;;) {
  const start = performance.now();
  const { code, reason } = await connect();
  if ([4401, 4403, 4409].includes(code)) {
    // Refused, disconnected by the API, or replaced: trying again changes nothing.
    console.error(`The service closed the connection with ${code}: ${reason}`);
    process.exit(1);
  }
  failures = performance.now() - start > 10_000 ? 0 : failures + 1;
  // A replica that shuts down says over how many ms its clients should spread. Everybody else backs off, at random too.
  const window = code === 1001 ? Number(reason) : Math.min(30_000, 250 * 2 ** failures);
  const pause = Math.random() * (window || 1000);
  console.log(`The connection ended with ${code}; the next try is in ${Math.round(pause)} ms`);
  await delay(pause);
}
