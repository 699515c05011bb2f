import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Authenticator } from "./auth/authenticator.ts";
import type { TopicAccess } from "./auth/topic-access.ts";
import { type FrameContext, handleClientFrame, type OnMessage, subscribeToAll } from "./client-frames.ts";
import type { Config } from "./config.ts";
import { Entrance } from "./entrance.ts";
import { Heartbeat, type Pulsed } from "./heartbeat.ts";
import type { Connection, EndCause, Transport } from "./hub/connection.ts";
import type { Hub } from "./hub/hub.ts";
import type { OutboxOptions } from "./hub/outbox.ts";
import type { Log } from "./log.ts";
import { Sse, type SseOptions } from "./sse/sse.ts";
import { type UpgradeOptions, Upgrades } from "./ws/upgrade.ts";

/** Whoever is told what clients do. */
interface Backend extends NonNullable<FrameContext["backend"]> {
  /** A connection was taken out of the hub. */
  disconnected(connection: Connection, cause: EndCause): void;
}

/** Settings of {@link Transports}, beside the configuration. */
export interface TransportsOptions {
  readonly config: Config;
  readonly hub: Hub;
  readonly log: Log;
  readonly authenticator: Authenticator;
  readonly topicAccess: TopicAccess;
  /** Takes the clients' `message` frames; undefined: the service has no use for them. */
  readonly onMessage: OnMessage | undefined;
  /** Tells the backend what happens; undefined: it is not told. */
  readonly backend: Backend | undefined;
  readonly remoteAddress: (request: IncomingMessage) => string;
  /** Told of each connection that this service closes or refuses, and why. */
  readonly onDropped: (reason: string) => void;
  /** Told of each message that a slow client is not sent, and why. */
  readonly onMessageDropped: OutboxOptions["onDropped"];
}

/** What both transports are given. */
type Shared = Omit<UpgradeOptions, keyof Config | "log"> & Omit<SseOptions, "onTopics">;

/** The ways in which clients connect, and what these have in common. */
export class Transports {
  readonly #options: TransportsOptions;
  readonly #entrance: Entrance;
  readonly #heartbeat: Heartbeat;
  readonly #upgrades: Upgrades;
  /** Server-Sent Events; the HTTP interface serves them. */
  readonly sse: Sse;

  constructor(options: TransportsOptions) {
    const {
      config,
      hub,
      log,
      authenticator,
      topicAccess,
      onMessage,
      backend,
      remoteAddress,
      onDropped,
      onMessageDropped,
    } = options;
    this.#options = options;
    this.#heartbeat = new Heartbeat(config);
    this.#entrance = new Entrance({ ...config, hub, authenticator });
    const renewal = config.authMode === "jwt" ? authenticator : undefined;
    const frameContext = { hub, log, onMessage, authenticator: renewal, topicAccess, backend };
    const shared: Shared = {
      hub,
      entrance: this.#entrance,
      remoteAddress,
      context: {
        ...config,
        onDropped: onMessageDropped,
        onGone: (connection, cause) => this.#gone(connection, cause),
        onFrame: (connection, frame) => handleClientFrame(frame, connection, frameContext),
      },
      onOpen: (connection) => this.#opened(connection),
      onRefused: ({ code }) => onDropped(`refused_${code}`),
    };
    this.#upgrades = new Upgrades({ ...config, ...shared, log });
    this.sse = new Sse({
      ...shared,
      onTopics: (connection, topics, positions) => subscribeToAll(connection, topics, positions, frameContext),
    });
  }

  /** Connections registered here, by transport. */
  get sizes(): Readonly<Record<Transport, number>> {
    return { ws: this.#options.hub.size - this.sse.size, sse: this.sse.size };
  }

  /** Takes one WebSocket handshake. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    void this.#upgrades.handle(request, socket, head);
  }

  /** From here on nobody is let in. */
  drain(): void {
    this.#entrance.drain();
  }

  /**
   * Resolves when the sockets of all clients have closed.
   *
   * @param graceMs time after which those that are still open are cut
   */
  async closed(graceMs: number): Promise<void> {
    const cut = setTimeout(() => this.#entrance.terminate(), graceMs);
    try {
      await this.#entrance.closed();
    } finally {
      clearTimeout(cut);
      this.#heartbeat.close();
    }
  }

  #opened(connection: Connection & Pulsed): void {
    this.#heartbeat.add(connection);
    this.#options.log.debug({ connection: connection.id }, "connected");
  }

  #gone(connection: Connection & Pulsed, cause: EndCause): void {
    const { hub, log, backend, onDropped } = this.#options;
    if (hub.unregister(connection)) backend?.disconnected(connection, cause);
    this.#heartbeat.delete(connection);
    if (cause !== "client") onDropped(cause);
    log.debug({ connection: connection.id, cause }, "disconnected");
  }
}
