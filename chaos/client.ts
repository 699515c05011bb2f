import { call } from "./api.ts";
import type { Checker } from "./checker.ts";
import { type Link, open, type Transport } from "./link.ts";
import type { Random } from "./random.ts";
import type { Tally } from "./report.ts";
import { Subscriptions, type TopicFrame } from "./subscriptions.ts";
import { streamOf } from "./topics.ts";

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

/** What a posted frame may be answered with: taken, its connection has gone or cannot be asked, or Redis is away. */
const postStatuses = [202, 404, 503];

/** Without a sign of life for so many heartbeats, the connection is given up. */
const patientHeartbeats = 2;

interface Welcome {
  readonly connection: string;
  readonly secret?: string;
  readonly positions: Readonly<Record<string, string>>;
  readonly recovered: Readonly<Record<string, boolean>>;
  readonly heartbeat: number;
}

interface Message {
  readonly id: string;
  readonly scope: "broadcast" | "user" | "topic";
  readonly topic?: string;
  readonly data: { readonly key: string };
}

type ServerFrame = (Welcome & { readonly type: "welcome" }) | (Message & { readonly type: "message" }) | TopicFrame;

const scopes = ["broadcast", "user"] as const;

/** A client as the protocol wants it: it remembers the last id of each stream, and resumes from there after any end. */
export class Client {
  readonly user: string;
  readonly name: string;
  /** Its topics. */
  readonly subscriptions: Subscriptions;
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
    const { name, user, checker, tally, random } = options;
    this.#options = options;
    this.user = user;
    this.name = name;
    checker.expect(name, ["broadcast", this.#streamOf("user")]);
    const send = (frame: object) => this.#send(frame);
    this.subscriptions = new Subscriptions({ name, checker, tally, random: random.fork(), send });
  }

  /** True from the welcome to the end of a connection. */
  get isConnected(): boolean {
    return this.#welcomed;
  }

  /** Connects, and again after every end until it is stopped. */
  connect(): void {
    const { port, user, transport } = this.#options;
    const asked = new Map(this.#since);
    const topics = this.subscriptions.begin();
    this.#heartbeatMs = 0;
    this.#link = open[transport]({
      port: port(),
      user,
      since: [...asked.values(), ...topics],
      lastEventId: this.#lastEventId,
      onSign: () => {
        this.#lastSignMs = performance.now();
      },
      onFrame: (text, lastEventId) => this.#take(text, lastEventId, asked),
      onEnd: (code, reason) => this.#ended(code, reason),
    });
  }

  /** Looks after its connection and its topics; called now and then. */
  tick(): void {
    const silentMs = performance.now() - this.#lastSignMs;
    // Whoever is behind a silent connection may be dead.
    if (this.#heartbeatMs > 0 && silentMs > patientHeartbeats * this.#heartbeatMs) this.#link?.terminate();
    if (!this.#welcomed) return;
    this.subscriptions.waver(this.#options.transport === "ws");
    this.subscriptions.pursue();
  }

  /** Ends for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#link?.terminate();
  }

  #take(text: string, lastEventId: string, asked: ReadonlyMap<string, string>): void {
    if (this.#stopped) return;
    const frame = JSON.parse(text) as ServerFrame;
    this.#lastEventId = lastEventId || undefined;
    if (isWelcome(frame)) this.#begin(frame, asked);
    else if (this.#welcomed && isMessage(frame)) this.#deliver(frame);
    else if (!this.#welcomed || !this.subscriptions.take(frame)) {
      const { name, checker } = this.#options;
      checker.violate({ kind: "protocol", client: name, detail: `unexpected frame ${text.slice(0, 200)}` });
    }
  }

  #begin({ connection, secret, positions, recovered, heartbeat }: Welcome, asked: ReadonlyMap<string, string>): void {
    const { name, checker, tally } = this.#options;
    this.#attempt = 0;
    this.#welcomed = true;
    this.#heartbeatMs = heartbeat;
    this.#post = { path: `/sse/${connection}`, authorization: `Bearer ${secret}` };
    for (const scope of scopes) {
      const position = positions[scope] ?? "";
      const since = asked.get(scope);
      if (since !== undefined) tally.count("resumes", recovered[scope] ? "recovered" : "not recovered");
      checker.welcomed(name, this.#streamOf(scope), { since, position, recovered: recovered[scope] });
      this.#since.set(scope, position);
    }
    this.subscriptions.pursue();
  }

  #deliver({ id, scope, topic = "", data }: Message): void {
    const { name, checker, tally, transport, random } = this.#options;
    checker.delivered(name, scope === "topic" ? streamOf(topic) : this.#streamOf(scope), id, data.key);
    if (scope === "topic") this.subscriptions.delivered(topic, id);
    else this.#since.set(scope, id);
    tally.count("deliveries", transport);
    if (transport === "sse" && random.chance(ackedShare)) void this.#send({ type: "ack", id });
  }

  /** Sends a frame by the connection, or by a request to whichever replica; false when it may not have come. */
  async #send(frame: object): Promise<boolean> {
    const { name, checker, tally, port } = this.#options;
    const text = JSON.stringify(frame);
    if (this.#link?.send) {
      this.#link.send(text);
      return true;
    }
    const { path = "", authorization = "" } = this.#post ?? {};
    const answer = await call(port(), "POST", path, text, { authorization }).catch(() => undefined);
    if (this.#stopped) return false;
    tally.count("posts", answer ? String(answer.status) : "no answer");
    if (answer && !postStatuses.includes(answer.status)) {
      checker.violate({ kind: "protocol", client: name, detail: `a frame was answered ${answer.status}` });
    }
    return answer?.status === 202;
  }

  #ended(code: number, reason: string): void {
    if (this.#stopped) return;
    const { tally, random } = this.#options;
    tally.count("closes", this.#welcomed ? String(code) : "before the welcome");
    this.#welcomed = false;
    this.subscriptions.end();
    const windowMs = code === 1001 ? Number(reason) || 0 : Math.min(maxBackoffMs, backoffMs * 2 ** this.#attempt++);
    this.#timer = setTimeout(() => this.connect(), random.next() * windowMs);
  }

  #streamOf(scope: "broadcast" | "user"): string {
    return scope === "broadcast" ? scope : `user:${this.#options.user}`;
  }
}

function isWelcome(frame: ServerFrame): frame is Welcome & { readonly type: "welcome" } {
  return frame.type === "welcome";
}

function isMessage(frame: ServerFrame): frame is Message & { readonly type: "message" } {
  return frame.type === "message";
}
