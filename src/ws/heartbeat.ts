import type { WsConnection } from "./connection.ts";

/** Settings of {@link Heartbeat}. */
export interface HeartbeatOptions {
  /** Longest time between two pings to a client, in ms. */
  readonly pingIntervalMs: number;
  /** Silence after that which ends the connection, in ms. */
  readonly pongTimeoutMs: number;
}

/** Looks in one ping interval; more is more exact and costs more. */
const looksPerInterval = 25;

/**
 * Pings all clients and ends those from which nothing comes, with one timer for all of them. Each pause between two pings
 * is a random 80 to 100 % of the interval, so that clients that connected together do not stay in step.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #connections = new Set<WsConnection>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    const shorter = Math.min(options.pingIntervalMs, options.pongTimeoutMs);
    const pauseMs = Math.min(1000, Math.max(5, shorter / looksPerInterval));
    this.#timer = setInterval(() => this.#look(performance.now()), pauseMs);
    this.#timer.unref();
  }

  add(connection: WsConnection): void {
    connection.nextPingMs = performance.now() + this.#pauseMs();
    this.#connections.add(connection);
  }

  delete(connection: WsConnection): void {
    this.#connections.delete(connection);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(nowMs: number): void {
    const deadBeforeMs = nowMs - this.#options.pingIntervalMs - this.#options.pongTimeoutMs;
    for (const connection of this.#connections) {
      if (connection.lastSeenMs < deadBeforeMs) {
        connection.terminate();
      } else if (connection.nextPingMs <= nowMs) {
        connection.nextPingMs = nowMs + this.#pauseMs();
        connection.ping();
      }
    }
  }

  #pauseMs(): number {
    return this.#options.pingIntervalMs * (0.8 + Math.random() * 0.2);
  }
}
