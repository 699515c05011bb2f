import { closeCodes } from "../protocol/close-codes.ts";
import { encodeFlag } from "../protocol/user-ids.ts";
import { backoffMs } from "./backoff.ts";
import { eventStreamLink } from "./event-stream-link.ts";
import type { IncomingFrame, OutgoingFrame } from "./frames.ts";
import type { Link, Transport } from "./link.ts";
import type { ClientOptions, ClientState, StateChange } from "./options.ts";
import { Pacer } from "./pacer.ts";
import { expiryMsOf } from "./token.ts";
import { webSocketLink } from "./web-socket-link.ts";

/** What a connector works for. */
export interface ConnectorHandler {
  changed(change: StateChange): void;
  /** A frame; the welcome is the first of each connection. */
  frame(frame: IncomingFrame): void;
  /** Ids to resume from. */
  since(): string[];
}

const transports: Readonly<Record<"ws" | "sse", Transport>> = { ws: webSocketLink, sse: eventStreamLink };

const adviceOf = new Map<number, string>(Object.values(closeCodes).map(({ code, advice }) => [code, advice]));
// What the other side says of a mistake of this one; the service's own table has only what it closes with itself.
for (const code of [1002, 1007, 1009, 1010]) adviceOf.set(code, "stop");

/** Time until the welcome, in ms; silence that is looked into, as a part of the heartbeat; time for an answer then, in ms. */
const connectTimeoutMs = 10_000;
const silence = 1.5;
const probeTimeoutMs = 8000;

/** A connection that has lasted so long, in ms, ends a row of failures. */
const steadyMs = 10_000;

/** Connections in a row that did not come about, after which another transport is tried, and how long that one is kept, in ms. */
const failuresOfTransport = 2;
const keepTransportMs = 5 * 60_000;

/** Part of a token's remaining life after which it is renewed, the least time that is left then, in ms, and the longest timer. */
const renewAt = 0.8;
const maxTimerMs = 2 ** 31 - 1;

/** Keeps a connection to the service: makes it, watches it, and makes it again as the service advises. */
export class Connector {
  readonly #base: URL;
  readonly #options: ClientOptions;
  readonly #handler: ConnectorHandler;
  readonly #pacer = new Pacer((frame) => this.#link?.send(frame));
  #state: ClientState = "connecting";
  #link: Link | undefined;
  /** Counts the tries, so that what belongs to an earlier one is known. */
  #try = 0;
  #transport = 0;
  #transportSinceMs = 0;
  #failures = 0;
  #unwelcomed = 0;
  #welcomedAtMs: number | undefined;
  #heardAtMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #probing: ReturnType<typeof setTimeout> | undefined;

  constructor(base: URL, options: ClientOptions, handler: ConnectorHandler) {
    this.#base = base;
    this.#options = options;
    this.#handler = handler;
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Connects now, unless it is connected or closed. */
  connect(): void {
    if (this.#state === "closed" || this.#link) return;
    clearTimeout(this.#timer);
    this.#change({ state: "connecting" });
    void this.#connect(++this.#try);
  }

  /** The network or the page is back: connects at once, or sees whether the connection is still there. */
  wake(): void {
    // What failed before says nothing of the network that there is now; and the end of a connection may be noticed late.
    this.#failures = 0;
    if (this.#state === "waiting") this.connect();
    else if (this.#state === "connected") this.#probe();
  }

  /** Sends a frame, as soon as the service's limit allows; false when there is no connection. */
  send(frame: OutgoingFrame): boolean {
    if (this.#state !== "connected") return false;
    this.#pacer.send(frame);
    return true;
  }

  /** Ends for good. */
  close(code = 1000, reason = ""): void {
    if (this.#state === "closed") return;
    this.#drop();
    clearTimeout(this.#timer);
    this.#change({ state: "closed", code, reason });
  }

  async #connect(attempt: number): Promise<void> {
    this.#timer = setTimeout(() => this.#closed(1006, "timeout"), connectTimeoutMs);
    let flag: string | undefined;
    try {
      flag = await this.#flag();
    } catch {
      if (attempt === this.#try) this.#closed(1006, "getToken failed");
      return;
    }
    if (attempt !== this.#try || this.#state !== "connecting") return;
    const plan = { base: this.#base, flag, since: this.#handler.since() };
    const make = transports[this.#transports[this.#transport % this.#transports.length] ?? "ws"];
    try {
      this.#link = make(plan, {
        frame: (text) => this.#frame(JSON.parse(text) as IncomingFrame, flag),
        alive: () => this.#alive(),
        closed: (code, reason) => this.#closed(code, reason),
      });
    } catch {
      this.#closed(4401, "this is no token: it holds what no subprotocol may");
    }
  }

  get #transports(): readonly ("ws" | "sse")[] {
    return this.#options.transports ?? ["ws", "sse"];
  }

  async #flag(): Promise<string | undefined> {
    const { user, token, getToken } = this.#options;
    if (getToken) return getToken();
    return token ?? (user === undefined ? undefined : encodeFlag(user));
  }

  #frame(frame: IncomingFrame, flag: string | undefined): void {
    this.#alive();
    if (frame.type === "welcome") {
      clearTimeout(this.#timer);
      this.#welcomedAtMs = Date.now();
      this.#unwelcomed = 0;
      this.#watchOver(frame.heartbeat);
      this.#scheduleRenewal(flag);
      this.#change({ state: "connected" });
    }
    if (frame.type !== "error" || frame.ref !== "probe") this.#handler.frame(frame);
  }

  #alive(): void {
    this.#heardAtMs = Date.now();
  }

  /** Looks now and then whether anything comes: browsers tell a page nothing of pings. */
  #watchOver(heartbeatMs: number): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      if (Date.now() - this.#heardAtMs > silence * heartbeatMs) this.#probe();
      this.#watchOver(heartbeatMs);
    }, heartbeatMs);
  }

  /** Sends what must be answered. */
  #probe(): void {
    const askedAtMs = Date.now();
    this.#link?.send({ type: "ack", id: "probe", ref: "probe" });
    this.#probing ??= setTimeout(() => {
      this.#probing = undefined;
      if (this.#heardAtMs < askedAtMs) this.#closed(1006, "silence");
    }, probeTimeoutMs);
  }

  #scheduleRenewal(token: string | undefined): void {
    clearTimeout(this.#renewal);
    const expiresAtMs = this.#options.getToken && token !== undefined ? expiryMsOf(token) : undefined;
    if (expiresAtMs === undefined) return;
    const inMs = Math.min(maxTimerMs, Math.max(1000, renewAt * (expiresAtMs - Date.now())));
    this.#renewal = setTimeout(() => void this.#renew(token), inMs);
  }

  async #renew(old: string | undefined): Promise<void> {
    const link = this.#link;
    const token = await this.#flag().catch(() => old);
    if (!link || link !== this.#link) return;
    if (token !== undefined && token !== old) this.send({ type: "auth", token });
    this.#scheduleRenewal(token);
  }

  /** The link has ended, or is given up. */
  #closed(code: number, reason: string): void {
    if (this.#state === "closed" || this.#state === "waiting") return;
    this.#drop();
    this.#count();
    const advice = adviceOf.get(code) ?? "back-off";
    const isFinal = advice === "stop" || (advice === "authenticate" && !this.#options.getToken);
    if (isFinal) {
      this.close(code, reason);
      return;
    }
    const retryInMs = Math.round(this.#pauseMs(advice, reason));
    this.#change({ state: "waiting", retryInMs, code, reason });
    this.#timer = setTimeout(() => this.connect(), retryInMs);
  }

  #pauseMs(advice: string, reason: string): number {
    if (advice === "spread") return Math.random() * Math.max(1000, Number(reason) || 0);
    return backoffMs(this.#failures + (advice === "resume" ? 0 : 1));
  }

  /** Counts failures, and chooses the transport of the next try. */
  #count(): void {
    const nowMs = Date.now();
    const lastedMs = this.#welcomedAtMs === undefined ? 0 : nowMs - this.#welcomedAtMs;
    this.#failures = lastedMs > steadyMs ? 0 : this.#failures + 1;
    if (this.#welcomedAtMs === undefined) this.#unwelcomed++;
    this.#welcomedAtMs = undefined;
    const isOver = this.#transport > 0 && this.#unwelcomed === 0 && nowMs - this.#transportSinceMs > keepTransportMs;
    if (isOver) this.#transport = 0;
    if (this.#unwelcomed < failuresOfTransport) return;
    this.#unwelcomed = 0;
    this.#failures = 0;
    this.#transport = (this.#transport + 1) % this.#transports.length;
    this.#transportSinceMs = nowMs;
  }

  #drop(): void {
    this.#try++;
    this.#link?.close();
    this.#link = undefined;
    this.#pacer.clear();
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    clearTimeout(this.#watch);
    clearTimeout(this.#probing);
    this.#probing = undefined;
  }

  #change(change: StateChange): void {
    this.#state = change.state;
    this.#handler.changed(change);
  }
}
