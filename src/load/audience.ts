import { setTimeout as pause } from "node:timers/promises";
import { nowNs } from "./clock.ts";
import { Connection, type ConnectionPlan } from "./connection.ts";
import { Tally } from "./tally.ts";

/** Handshakes under way at once. */
const maxHandshakes = 128;

/** Connections that wait for what they have asked for at once. */
const maxAsking = 128;

/** How often is looked whether all has come, in ms. */
const lookMs = 5;

/** Silence after which nothing more is on the way to who had stopped reading, in ms. */
const quietMs = 500;

/** Silence after which what did not come is lost, in ms. */
const patienceMs = 5000;

/** Who listens. */
export interface AudiencePlan {
  readonly connections: number;
  /** How the n-th connects. */
  readonly connection: (index: number) => ConnectionPlan;
  /** Every how many messages one is looked into for its latency; a prime. */
  readonly sampleEvery: number;
}

/** What did not come, and what came beyond what was sent. */
export interface Missing {
  readonly lost: number;
  readonly extra: number;
}

/** Many connections, and what they receive. */
export class Audience {
  readonly tally: Tally;
  readonly #plan: AudiencePlan;
  readonly #connections: Connection[] = [];
  /** Connections that read nothing, and are not counted. */
  readonly #deaf = new Set<Connection>();
  #isClosed = false;

  constructor(plan: AudiencePlan) {
    this.#plan = plan;
    this.tally = new Tally(plan.sampleEvery);
  }

  /**
   * Opens more connections.
   *
   * @param count default: all that are planned
   * @param onReady told of each one
   * @param atOnce most handshakes under way at once
   * @throws Error of the first one that failed
   */
  async open(count = this.#plan.connections, onReady: () => void = () => {}, atOnce = maxHandshakes): Promise<void> {
    const end = this.#connections.length + count;
    const connectOn = async (): Promise<void> => {
      while (this.#connections.length < end && !this.#isClosed) {
        const connection = new Connection(this.#plan.connection(this.#connections.length), this.tally);
        this.#connections.push(connection);
        await connection.ready;
        onReady();
      }
    };
    await Promise.all(Array.from({ length: Math.min(count, atOnce) }, connectOn));
  }

  /**
   * Lets connections send texts, and resolves when each has been sent as many messages since.
   *
   * @param texts of the n-th
   * @param from index of the first
   * @param to index behind the last
   */
  async ask(texts: (index: number) => readonly string[], from: number, to: number): Promise<void> {
    let next = from;
    const askOn = async (): Promise<void> => {
      for (let index = next++; index < to; index = next++) await this.#connections[index]?.ask(texts(index));
    };
    await Promise.all(Array.from({ length: maxAsking }, askOn));
  }

  /** Connections that were opened. */
  get size(): number {
    return this.#connections.length;
  }

  /** True when every connection was offered compression and took it. */
  get isCompressed(): boolean {
    return this.#connections.every(({ compression }) => compression);
  }

  /** Lets the first connections read nothing more. */
  deafen(count: number): void {
    for (const connection of this.#connections.slice(0, count)) {
      connection.pause();
      this.#deaf.add(connection);
    }
  }

  /** Lets them read again, and waits until nothing more comes: only who reads sees that the server has closed. */
  async undeafen(): Promise<void> {
    for (const connection of this.#deaf) connection.resume();
    this.#deaf.clear();
    for (let seen = -1; seen !== this.tally.reads; await pause(quietMs)) seen = this.tally.reads;
  }

  /** Connections that the server has closed, by close code. */
  get closes(): Record<string, number> {
    const closes: Record<string, number> = {};
    for (const { closeCode } of this.#connections) {
      if (closeCode !== undefined) closes[closeCode] = (closes[closeCode] ?? 0) + 1;
    }
    return closes;
  }

  /** Forgets what has come. */
  reset(): void {
    this.tally.reset();
    for (const connection of this.#connections) connection.reset();
  }

  /**
   * Waits until everything has come, or nothing comes any more.
   *
   * @param expected messages that the n-th connection should have
   */
  async settle(expected: (index: number) => number): Promise<Missing> {
    const counted = this.#connections.map((connection, i) => ({ connection, messages: expected(i) }));
    const heard = counted.filter(({ connection }) => !this.#deaf.has(connection));
    const total = heard.reduce((sum, { messages }) => sum + messages, 0);
    let since = nowNs();
    let seen = this.tally.messages;
    for (;;) {
      const missing = { lost: 0, extra: 0 };
      if (this.tally.messages >= total || nowNs() - since > patienceMs * 1e6) {
        for (const { connection, messages } of heard) {
          missing.lost += Math.max(0, messages - connection.messages);
          missing.extra += Math.max(0, connection.messages - messages);
        }
        if (missing.lost === 0 || nowNs() - since > patienceMs * 1e6) return missing;
      }
      await pause(lookMs);
      if (this.tally.messages === seen) continue;
      seen = this.tally.messages;
      since = nowNs();
    }
  }

  /** Ends all connections. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.leave();
  }
}
