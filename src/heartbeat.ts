import type { Token } from "./credentials.ts";
import type { CloseCause } from "./protocol/close-codes.ts";

/** Settings of {@link Heartbeat}. */
export interface HeartbeatOptions {
  /** Longest time between two pings to a client, in ms. */
  readonly pingIntervalMs: number;
  /** Silence after that which ends the connection, in ms. */
  readonly pongTimeoutMs: number;
  /** Time after 80 to 100 % of which a connection is closed, in ms; undefined: never. */
  readonly maxConnectionAgeMs?: number | undefined;
}

/** What the {@link Heartbeat} asks of a connection. */
export interface Pulsed {
  /** When anything last came from the client, by {@link performance.now}; Infinity where nothing ever comes. */
  readonly lastSeenMs: number;
  /** When the next ping is due, by the same clock. */
  nextPingMs: number;
  /** When it has lived long enough, by the same clock. */
  oldAtMs: number;
  readonly token: Token | undefined;
  ping(): void;
  /** Ends the connection without a word, since nothing comes from the client any more. */
  terminate(): void;
  close(cause: CloseCause, reason?: string): void;
}

/** Looks in one ping interval; more is more exact and costs more. */
const looksPerInterval = 25;

/** Over which a client that is closed for its age spreads its return, in ms; the ages are spread already. */
const ageWindowMs = "1000";

/**
 * Pings all clients and ends those from which nothing comes, with one timer for all of them. Each pause between two pings
 * is a random 80 to 100 % of the interval, so that clients that connected together do not stay in step. Closes those whose
 * token has expired, and those that are old, too.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #connections = new Set<Pulsed>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    const shorter = Math.min(options.pingIntervalMs, options.pongTimeoutMs);
    const pauseMs = Math.min(1000, Math.max(5, shorter / looksPerInterval));
    this.#timer = setInterval(() => this.#look(performance.now()), pauseMs);
    this.#timer.unref();
  }

  add(connection: Pulsed): void {
    const { pingIntervalMs, maxConnectionAgeMs = Number.POSITIVE_INFINITY } = this.#options;
    const nowMs = performance.now();
    connection.nextPingMs = nowMs + spread(pingIntervalMs);
    connection.oldAtMs = nowMs + spread(maxConnectionAgeMs);
    this.#connections.add(connection);
  }

  delete(connection: Pulsed): void {
    this.#connections.delete(connection);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(nowMs: number): void {
    const deadBeforeMs = nowMs - this.#options.pingIntervalMs - this.#options.pongTimeoutMs;
    const wallMs = Date.now();
    for (const connection of this.#connections) {
      if (connection.lastSeenMs < deadBeforeMs) {
        connection.terminate();
      } else if ((connection.token?.expiresAtMs ?? Number.POSITIVE_INFINITY) <= wallMs) {
        connection.close("unauthorized", "the token has expired");
      } else if (connection.oldAtMs <= nowMs) {
        connection.close("going_away", ageWindowMs);
      } else if (connection.nextPingMs <= nowMs) {
        connection.nextPingMs = nowMs + spread(this.#options.pingIntervalMs);
        connection.ping();
      }
    }
  }
}

/** A random 80 to 100 %. */
function spread(ms: number): number {
  return ms * (0.8 + Math.random() * 0.2);
}
