import { call } from "./api.ts";
import type { Checker } from "./checker.ts";
import { type Link, open, type Transport } from "./link.ts";
import type { Random } from "./random.ts";
import type { Tally } from "./report.ts";

/** What a client needs beside itself. */
export interface ClientOptions {
  readonly name: string;
  readonly user: string;
  readonly transport: Transport;
  readonly checker: Checker;
  readonly tally: Tally;
  readonly random: Random;
  /** A port to connect to, chosen anew each time. */
  readonly port: () => number;
}

/** Backoff after a connection that did not come about or ended, in ms; the first is up to this, and each one doubles. */
const backoffMs = 50;
const maxBackoffMs = 1000;

/** Share of the messages that a client of Server-Sent Events acknowledges, by whichever replica. */
const ackedShare = 0.05;

/** What such a frame may be answered with: taken, its connection has gone, or Redis is away. */
const postStatuses = [202, 404, 503];

/** Without a sign of life for so many heartbeats, the connection is given up. */
const patientHeartbeats = 2;

interface ServerFrame {
  readonly type: string;
  readonly connection?: string;
  readonly secret?: string;
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
  #link: Link | undefined;
  /** Where frames are posted to, and with what. */
  #post: { readonly path: string; readonly authorization: string } | undefined;
  #lastEventId: string | undefined;
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
    const { port, user, transport } = this.#options;
    const asked = new Map(this.#since);
    this.#welcomed = false;
    this.#heartbeatMs = 0;
    this.#link = open[transport]({
      port: port(),
      user,
      since: [...asked.values()],
      lastEventId: this.#lastEventId,
      onSign: () => {
        this.#lastSignMs = performance.now();
      },
      onFrame: (text, lastEventId) => this.#take(text, lastEventId, asked),
      onEnd: (code, reason) => this.#ended(code, reason),
    });
  }

  /** Cuts the connection when nothing came for too long: whoever is behind it may be dead. */
  checkLife(): void {
    const silentMs = performance.now() - this.#lastSignMs;
    if (this.#heartbeatMs > 0 && silentMs > patientHeartbeats * this.#heartbeatMs) this.#link?.terminate();
  }

  /** Ends for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#link?.terminate();
  }

  #take(text: string, lastEventId: string, asked: ReadonlyMap<string, string>): void {
    if (this.#stopped) return;
    const { name, checker, tally, transport, random } = this.#options;
    const frame = JSON.parse(text) as ServerFrame;
    this.#lastEventId = lastEventId || undefined;
    if (frame.type === "welcome") {
      this.#attempt = 0;
      this.#welcomed = true;
      this.#heartbeatMs = frame.heartbeat ?? 0;
      this.#post = { path: `/sse/${frame.connection}`, authorization: `Bearer ${frame.secret}` };
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
      tally.count("deliveries", transport);
      if (transport === "sse" && random.chance(ackedShare)) void this.#acknowledge(frame.id);
    } else {
      checker.violate({ kind: "protocol", client: name, detail: `unexpected frame ${text.slice(0, 200)}` });
    }
  }

  async #acknowledge(id: string): Promise<void> {
    const { name, checker, tally, port } = this.#options;
    const { path = "", authorization = "" } = this.#post ?? {};
    const frame = JSON.stringify({ type: "ack", id });
    const answer = await call(port(), "POST", path, frame, { authorization }).catch(() => undefined);
    if (this.#stopped) return;
    tally.count("posts", answer ? String(answer.status) : "no answer");
    if (answer && !postStatuses.includes(answer.status)) {
      checker.violate({ kind: "protocol", client: name, detail: `a frame was answered ${answer.status}` });
    }
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
