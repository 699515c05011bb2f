import { type RawData, WebSocket } from "ws";
import type { Checker } from "./checker.ts";
import type { Random } from "./random.ts";
import type { Tally } from "./report.ts";

/** What a client needs beside itself. */
export interface ClientOptions {
  readonly name: string;
  readonly user: string;
  readonly checker: Checker;
  readonly tally: Tally;
  readonly random: Random;
  /** A port to connect to, chosen anew each time. */
  readonly port: () => number;
}

/** Backoff after a connection that did not come about or ended, in ms; the first is up to this, and each one doubles. */
const backoffMs = 50;
const maxBackoffMs = 1000;

/** Longest wait for the end of a handshake, in ms. */
const handshakeTimeoutMs = 3000;

/** Without a sign of life for so many heartbeats, the connection is given up. */
const patientHeartbeats = 2;

interface ServerFrame {
  readonly type: string;
  readonly id?: string;
  readonly scope?: "broadcast" | "user";
  readonly data?: { readonly key: string };
  readonly positions?: Readonly<Record<string, string>>;
  readonly recovered?: Readonly<Record<string, boolean>>;
  readonly heartbeat?: number;
}

const scopes = ["broadcast", "user"] as const;

/** A client as the protocol wants it: it remembers the last id of each stream, and resumes from there after any end. */
export class Client {
  readonly #options: ClientOptions;
  readonly #since = new Map<string, string>();
  #ws: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #attempt = 0;
  #welcomed = false;
  #heartbeatMs = 0;
  #lastSignMs = 0;
  #stopped = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    options.checker.join(options.name, ["broadcast", this.#streamOf("user")]);
  }

  /** Connects, and again after every end until it is stopped. */
  connect(): void {
    const query = [...this.#since.values()].map((id) => `since=${id}`).join("&");
    const url = `ws://127.0.0.1:${this.#options.port()}/ws${query && `?${query}`}`;
    const asked = new Map(this.#since);
    const ws = new WebSocket(url, ["belfry.v1", this.#options.user], { handshakeTimeout: handshakeTimeoutMs });
    this.#ws = ws;
    this.#welcomed = false;
    this.#heartbeatMs = 0;
    ws.on("error", () => {});
    ws.on("ping", () => this.#sign());
    ws.on("message", (data) => this.#take(data, asked));
    ws.on("close", (code, reason) => this.#ended(code, String(reason)));
  }

  /** Cuts the connection when nothing came for too long: whoever is behind it may be dead. */
  checkLife(): void {
    const silentMs = performance.now() - this.#lastSignMs;
    if (this.#heartbeatMs > 0 && silentMs > patientHeartbeats * this.#heartbeatMs) this.#ws?.terminate();
  }

  /** Ends for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#ws?.terminate();
  }

  #take(data: RawData, asked: ReadonlyMap<string, string>): void {
    if (this.#stopped) return;
    this.#sign();
    const { name, checker, tally } = this.#options;
    const frame = JSON.parse(String(data)) as ServerFrame;
    if (frame.type === "welcome") {
      this.#attempt = 0;
      this.#welcomed = true;
      this.#heartbeatMs = frame.heartbeat ?? 0;
      for (const scope of scopes) {
        const position = frame.positions?.[scope] ?? "";
        const [since, recovered] = [asked.get(scope), frame.recovered?.[scope]];
        if (since !== undefined) tally.count("resumes", recovered ? "recovered" : "not recovered");
        checker.welcomed(name, this.#streamOf(scope), { since, position, recovered });
        this.#since.set(scope, position);
      }
    } else if (frame.type === "message" && frame.id && frame.scope && frame.data && this.#welcomed) {
      checker.delivered(name, this.#streamOf(frame.scope), frame.id, frame.data.key);
      this.#since.set(frame.scope, frame.id);
    } else {
      checker.violate({ kind: "protocol", client: name, detail: `unexpected frame ${String(data).slice(0, 200)}` });
    }
  }

  #sign(): void {
    this.#lastSignMs = performance.now();
  }

  #ended(code: number, reason: string): void {
    if (this.#stopped) return;
    const { tally, random } = this.#options;
    tally.count("closes", this.#welcomed ? String(code) : "before the welcome");
    const windowMs = code === 1001 ? Number(reason) || 0 : Math.min(maxBackoffMs, backoffMs * 2 ** this.#attempt++);
    this.#timer = setTimeout(() => this.connect(), random.next() * windowMs);
  }

  #streamOf(scope: "broadcast" | "user"): string {
    return scope === "broadcast" ? scope : `user:${this.#options.user}`;
  }
}
