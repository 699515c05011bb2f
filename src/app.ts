import { randomUUID } from "node:crypto";
import type { IncomingMessage, RequestListener, Server } from "node:http";
import { hostname } from "node:os";
import type { Duplex } from "node:stream";
import type { Express } from "express";
import { apiKeysOf, authenticatorOf } from "./auth/configured.ts";
import { TopicAccess } from "./auth/topic-access.ts";
import { BackendEvents } from "./backend-events.ts";
import type { Broker } from "./broker/broker.ts";
import { brokerOf } from "./broker/configured.ts";
import type { OnMessage } from "./client-frames.ts";
import { type Config, checkConfig, readConfig } from "./config.ts";
import { createHttpApp } from "./http/app.ts";
import { type Certificate, certificateOf } from "./http/certificate.ts";
import { clientRoute } from "./http/client-route.ts";
import { serveDirectly } from "./http/direct.ts";
import { receiveExternalPublish } from "./http/external-publish.ts";
import { historyRoutes } from "./http/history-routes.ts";
import { Listener } from "./http/listener.ts";
import { openapiRoute } from "./http/openapi.ts";
import { healthRoutes, operationsRoutes, upgradeRoute } from "./http/operations-routes.ts";
import { publishLimiterOf } from "./http/publish-limiter.ts";
import { publishRoutes } from "./http/publish-routes.ts";
import { remoteAddressOf } from "./http/remote-address.ts";
import { revocationRoute } from "./http/revocation-route.ts";
import type { Route } from "./http/route.ts";
import { sseRoutes } from "./http/sse-routes.ts";
import { topicRoutes } from "./http/topic-routes.ts";
import { userRoutes } from "./http/user-routes.ts";
import type { Client } from "./hub/client.ts";
import { drainConnections } from "./hub/drain.ts";
import { Hub } from "./hub/hub.ts";
import { createLog, type Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Transports } from "./transports.ts";
import { version } from "./version.ts";
import { SubscribeHook } from "./webhooks/subscribe-hook.ts";
import { wsPath } from "./ws/upgrade.ts";

/** Settings of {@link Belfry.start}: every configuration variable in camel case, with the same defaults, and these. */
export interface BelfryOptions extends Partial<Config> {
  /**
   * An HTTP server to live in: Belfry takes its upgrades to `/ws` and listens on nothing itself. Mount
   * {@link Belfry.handler} to serve the publisher API too. Default: listeners of its own on `port` and `apiPort`.
   */
  readonly server?: Server;
  /** Takes the clients' `message` frames. Without it and a `webhookUrl` they are answered with an error frame `unsupported`. */
  readonly onMessage?: OnMessage;
  /** A pino logger. Default: JSON lines on standard output from `logLevel` on. */
  readonly log?: Log;
}

/** Least time that answers to close frames and requests under way get when the service closes, in ms. */
const minGraceMs = 100;

/** Bytes of messages written to a connection at once at most, whatever may wait for it. */
const maxPassBytes = 256 * 1024;

/** A running service. */
export class Belfry {
  /** Sends messages, and knows who is connected. */
  readonly hub: Hub;
  /**
   * Serves the publisher API, health and metrics inside an express application: `app.use(belfry.handler)`. Requests to
   * other paths are passed on.
   */
  readonly handler: Express;
  readonly #config: Config;
  readonly #log: Log;
  readonly #metrics = new Metrics();
  readonly #broker: Broker;
  readonly #backend: BackendEvents | undefined;
  readonly #transports: Transports;
  readonly #apiKeys: ReturnType<typeof apiKeysOf>;
  readonly #certificate: Certificate | undefined;
  readonly #listeners: { readonly listener: Listener; readonly port: number; readonly name: "port" | "apiPort" }[] = [];
  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    this.#upgrade(request, socket, head);
  };
  readonly #host: Server | undefined;
  readonly #ports: { port?: number; apiPort?: number } = {};
  #draining = false;
  #closed: Promise<void> | undefined;

  /**
   * Starts the service and resolves when it listens. It does not wait for Redis: until Redis can be reached `/readyz`
   * answers 503.
   *
   * @throws ConfigError when settings contradict each other, or name files that cannot be used; it calls them by their variables
   * @throws Error of the system when a port cannot be listened on
   */
  static async start(options: BelfryOptions = {}): Promise<Belfry> {
    const belfry = new Belfry(options);
    try {
      await belfry.#listen();
    } catch (error) {
      await belfry.close();
      throw error;
    }
    return belfry;
  }

  private constructor({ server, onMessage, log, ...given }: BelfryOptions) {
    // An option that is undefined counts as not given: a limit must not be switched off by accident.
    const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const config: Config = { ...readConfig({}), ...set };
    checkConfig(config);
    this.#config = config;
    this.#host = server;
    this.#log = log ?? createLog(config.logLevel);
    this.#broker = this.#createBroker();
    const replica = `${hostname()}-${randomUUID().slice(0, 6)}`;
    this.#backend = BackendEvents.of(config, this.#broker, replica, this.#metrics, this.#log);
    this.hub = this.#createHub(replica);
    this.#transports = this.#createTransports(onMessage);
    this.#apiKeys = apiKeysOf(config, this.#log);
    this.#certificate = server ? undefined : certificateOf(config, this.#log);
    const { apiPort } = config;
    const context = this.#endpointContext();
    const publicRoutes = this.#publicRoutes();
    const apiRoutes = this.#apiRoutes(publicRoutes);
    this.handler = createHttpApp(context, [...publicRoutes, ...apiRoutes], true);
    if (!server) {
      const onPort = apiPort === undefined ? [...publicRoutes, ...apiRoutes] : publicRoutes;
      const serveAll = (routes: readonly Route[]) => serveDirectly(context, routes, createHttpApp(context, routes));
      this.#addListener("port", config.port, serveAll(onPort));
      if (apiPort !== undefined) this.#addListener("apiPort", apiPort, serveAll(apiRoutes));
    }
    this.#metrics.observe({
      connections: () => this.#transports.sizes,
      users: () => this.hub.statsHere().users,
      subscriptions: () => this.hub.topics.size,
      brokerUp: () => this.#broker.up,
      maxConnections: config.maxConnections,
    });
    this.hub.start();
    this.#backend?.start(this.hub);
  }

  /** The port of the public listener; undefined inside somebody else's server. */
  get port(): number | undefined {
    return this.#ports.port;
  }

  /** The port of the API's own listener, if it has one. */
  get apiPort(): number | undefined {
    return this.#ports.apiPort;
  }

  /** The same as `hub.on`. */
  on(event: "connect" | "disconnect", listener: (client: Client) => void): this {
    this.hub.on(event, listener);
    return this;
  }

  /**
   * Ends the service: it is not ready any more and takes no new connections, the connections are closed with 1001 spread
   * over the window, requests are served to the end, and then everything is let go. A second call changes nothing.
   *
   * @param drainTimeoutMs the window, and the bound on the whole; default 0: at once
   */
  close(drainTimeoutMs = 0): Promise<void> {
    this.#closed ??= this.#close(drainTimeoutMs);
    return this.#closed;
  }

  async #close(drainTimeoutMs: number): Promise<void> {
    this.#draining = true;
    this.#transports.drain();
    const deadlineMs = performance.now() + drainTimeoutMs;
    await drainConnections(this.hub, drainTimeoutMs);
    const graceMs = Math.max(minGraceMs, deadlineMs - performance.now());
    try {
      await Promise.all([
        this.#transports.closed(graceMs),
        ...this.#listeners.map(({ listener }) => listener.close(graceMs)),
      ]);
    } finally {
      this.#host?.off("upgrade", this.#onUpgrade);
      this.#certificate?.close();
      this.#apiKeys.close();
      await this.#backend?.close(Math.max(minGraceMs, deadlineMs - performance.now()));
      await this.hub.close();
      this.#metrics.close();
    }
  }

  #createBroker(): Broker {
    return brokerOf(this.#config, {
      log: this.#log,
      onOperation: (operation, seconds) => this.#metrics.brokerSeconds.observe({ operation }, seconds),
      onMalformed: () => this.#metrics.brokerMalformed.inc({}),
    });
  }

  #createHub(replica: string): Hub {
    const { maxPayloadBytes, sendBufferBytes, maxConnectionsPerUser, overLimit, maxSubscriptions, presenceTopics } =
      this.#config;
    const metrics = this.#metrics;
    return new Hub({
      broker: this.#broker,
      log: this.#log,
      replica,
      maxPayloadBytes,
      maxPassBytes: Math.min(maxPassBytes, sendBufferBytes / 2),
      maxConnectionsPerUser,
      overLimit,
      maxSubscriptions,
      presenceTopics,
      onDelivered: (scope, connections, seconds) => {
        metrics.deliveries.inc({ scope }, connections);
        metrics.deliverySeconds.observe({}, seconds, connections);
      },
      onResume: (recovered) => metrics.resumes.inc({ recovered: String(recovered) }),
      onRequest: (result) => metrics.requests.inc({ result }),
      onPublish: (scope, result) => metrics.publishes.inc({ scope, result }),
      onPostedFrame: (posted) => this.#transports.sse.take(posted),
      onExternalPublish: (payload) => receiveExternalPublish(this.hub, payload, this.#log, metrics),
      ...this.#backend?.hubOptions,
    });
  }

  #createTransports(onMessage: OnMessage | undefined): Transports {
    return new Transports({
      config: this.#config,
      hub: this.hub,
      log: this.#log,
      authenticator: authenticatorOf(this.#config),
      topicAccess: this.#createTopicAccess(),
      onMessage,
      backend: this.#backend,
      remoteAddress: remoteAddressOf(this.#config.trustProxy),
      onDropped: (reason) => this.#metrics.droppedConnections.inc({ reason }),
      onMessageDropped: (reason) => this.#metrics.droppedMessages.inc({ reason }),
    });
  }

  #createTopicAccess(): TopicAccess {
    const { subscribeHookUrl: url, webhookSecret: secret } = this.#config;
    const hook = url && secret !== undefined ? new SubscribeHook({ url, secret, log: this.#log }) : undefined;
    return new TopicAccess({ ...this.#config, hook });
  }

  #endpointContext() {
    const limit = publishLimiterOf(this.#broker, this.#config.maxPublishesPerSecond);
    return { keys: this.#apiKeys.keys, limit, metrics: this.#metrics, log: this.#log };
  }

  #publicRoutes(): Route[] {
    return [
      ...healthRoutes(this.#broker, () => this.#draining),
      upgradeRoute(wsPath),
      clientRoute(),
      ...sseRoutes(this.#transports.sse, this.#config.maxPayloadBytes),
    ];
  }

  #apiRoutes(publicRoutes: readonly Route[]): Route[] {
    const routes = [
      ...publishRoutes(this.hub, this.#config.maxPayloadBytes),
      ...historyRoutes(this.hub),
      ...userRoutes(this.hub),
      ...topicRoutes(this.hub),
      revocationRoute(this.hub, this.#config.authMode, this.#config.revocationTtlSeconds),
      ...operationsRoutes(this.hub, this.#metrics),
    ];
    return [...routes, openapiRoute([...publicRoutes, ...routes], version)];
  }

  #addListener(name: "port" | "apiPort", port: number, onRequest: RequestListener): void {
    const listener = new Listener({
      handshakeTimeoutMs: this.#config.handshakeTimeoutMs,
      onRequest,
      certificate: this.#certificate,
      onRefused: (reason) => this.#metrics.droppedConnections.inc({ reason: `refused_${reason}` }),
    });
    // The API's own port has no WebSocket: an upgrade request is as any other there and finds nothing at /ws.
    if (name === "port") listener.onUpgrade(this.#onUpgrade);
    this.#listeners.push({ listener, port, name });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // In somebody else's server an upgrade to another path may be somebody else's.
    const path = request.url?.split("?", 1)[0];
    if (this.#host && path !== wsPath && this.#host.listenerCount("upgrade") > 1) return;
    this.#transports.upgrade(request, socket, head);
  }

  async #listen(): Promise<void> {
    this.#host?.on("upgrade", this.#onUpgrade);
    for (const { listener, port, name } of this.#listeners) {
      this.#ports[name] = await listener.listen(port, this.#config.host);
    }
    const { redisUrl, host } = this.#config;
    const broker = redisUrl === undefined ? "memory" : "redis";
    this.#log.info({ ...this.#ports, host, broker, version }, "Belfry is listening");
  }
}
