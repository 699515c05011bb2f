import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket } from "ws";
import { until } from "../chaos/until.ts";
import { hush } from "../test/support/secrets.ts";
import type { Configuration } from "./configuration.ts";
import { userClaim } from "./configuration.ts";
import { signToken } from "./token.ts";

/** Somebody who is in no case. */
const user = "good-client";

/** Pause between two messages to it, in ms. */
const publishEveryMs = 10;

/** Longest wait for what is on its way, in ms. */
const settleTimeoutMs = 30_000;

const streams = ["broadcast", "user"] as const;
type Stream = (typeof streams)[number];

/** What the client knows of a stream. */
interface Progress {
  /** Messages published to it here and accepted. */
  published: number;
  /** Those of them that came. */
  received: number;
  /** Of the last message, whoever published it; undefined before the first. */
  offset: number | undefined;
}

interface Message {
  readonly type: string;
  readonly id: string;
  readonly scope: Stream;
  readonly data: unknown;
}

/** A client that does nothing wrong, and the publisher who writes to it all the time: the cases must not harm them. */
export class GoodClient {
  readonly #port: number;
  readonly #configuration: Configuration;
  readonly #onFailure: (detail: string) => void;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #progress: Readonly<Record<Stream, Progress>> = {
    broadcast: { published: 0, received: 0, offset: undefined },
    user: { published: 0, received: 0, offset: undefined },
  };
  #ws: WebSocket | undefined;
  #isStopped = false;

  constructor(port: number, configuration: Configuration, onFailure: (detail: string) => void) {
    this.#port = port;
    this.#configuration = configuration;
    this.#onFailure = onFailure;
  }

  /** Messages that came, of those that were published to it. */
  get received(): string {
    return streams
      .map((stream) => `${this.#progress[stream].received} of ${this.#progress[stream].published} (${stream})`)
      .join(", ");
  }

  /** Connects; resolves when the socket is open. */
  async connect(): Promise<void> {
    this.#ws = new WebSocket(`ws://127.0.0.1:${this.#port}/ws`, ["belfry.v1", this.#flag()]);
    this.#ws.on("message", (data) => this.#take(JSON.parse(String(data)) as Message));
    this.#ws.on("error", (error) => this.#onFailure(`the good client met ${error}`));
    this.#ws.on("close", (code, reason) => {
      if (!this.#isStopped) this.#onFailure(`the good client was closed with ${code} ${reason}`);
    });
    await once(this.#ws, "open");
  }

  /** Publishes at its rate until it is stopped. */
  async publish(): Promise<void> {
    for (let n = 1; !this.#isStopped; n++) {
      for (const stream of streams) {
        // The count is what is expected: the message may come before its answer.
        this.#progress[stream].published = n;
        const status = await this.#post(stream, n).catch((error: unknown) => String(error));
        if (status === 202) continue;
        this.#onFailure(`the good publisher was answered ${status}`);
        return;
      }
      await pause(publishEveryMs);
    }
  }

  /** Ends publishing, waits until everything has come, and disconnects. */
  async stop(publishing: Promise<void>): Promise<void> {
    this.#isStopped = true;
    await publishing;
    const isThere = () =>
      streams.every((stream) => this.#progress[stream].received === this.#progress[stream].published);
    await until("the good client has every message", isThere, settleTimeoutMs).catch(() =>
      this.#onFailure(`the good client has ${this.received}`),
    );
    this.#ws?.terminate();
    this.#agent.destroy();
  }

  #take({ type, id, scope, data }: Message): void {
    if (type === "welcome") return;
    if (type !== "message") {
      this.#onFailure(`the good client was sent a frame of type ${type}`);
      return;
    }
    const progress = this.#progress[scope];
    if (!id.startsWith("l-")) {
      const offset = Number(id.split("-").at(-1));
      if (progress.offset !== undefined && offset !== progress.offset + 1) {
        this.#onFailure(`the good client got ${id} behind offset ${progress.offset}`);
      }
      progress.offset = offset;
    }
    const { good } = Object(data) as { good?: unknown };
    if (good === undefined) return;
    if (good !== progress.received + 1)
      this.#onFailure(`the good client got ${scope} ${good} behind ${progress.received}`);
    progress.received++;
  }

  #post(stream: Stream, good: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const body = JSON.stringify({ data: { good, padding: hush("x".repeat(300)) } });
    const [key] = this.#configuration.keys;
    const headers = {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
      ...(key !== undefined && { Authorization: `Bearer ${key}` }),
    };
    const path = stream === "broadcast" ? "/broadcast" : `/users/${user}/messages`;
    const signal = AbortSignal.timeout(settleTimeoutMs);
    const options = { agent: this.#agent, host: "127.0.0.1", port: this.#port, method: "POST", path, headers, signal };
    const onAnswer = (response: IncomingMessage) =>
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    request(options, onAnswer).on("error", reject).end(body);
    return promise;
  }

  /** Newer than any `before` of a revocation. */
  #flag(): string {
    const { jwtSecret, flagOf } = this.#configuration;
    if (jwtSecret === undefined) return flagOf(user);
    return signToken({ alg: "HS256" }, { [userClaim]: user, iat: 1e300 }, jwtSecret);
  }
}
