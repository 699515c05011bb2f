import { monitorEventLoopDelay } from "node:perf_hooks";
import v8 from "node:v8";
import { collectDefaultMetrics, Gauge, type Metric, Registry } from "prom-client";
import { Counter } from "./counter.ts";
import { WeightedHistogram } from "./weighted-histogram.ts";

/** How long something took, in seconds: from a fast local hop to a Redis deadline. */
const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Event-loop delay, in ms, that counts as a full replica. */
const fullDelayMs = 500;

/** What the gauges are read from when /metrics is scraped. */
export interface Gauges {
  readonly connections: () => Readonly<Record<string, number>>;
  readonly users: () => number;
  readonly subscriptions: () => number;
  readonly brokerUp: () => boolean;
  /** Connections that this replica takes at most; undefined when not limited. */
  readonly maxConnections?: number | undefined;
}

/** The service's metrics, in a registry of their own so that several services fit in one process. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 20 });

  readonly publishes = this.#counter("belfry_publishes_total", "Messages accepted or refused.", ["scope", "result"]);
  readonly deliveries = this.#counter("belfry_deliveries_total", "Messages handed to connections.", ["scope"]);
  readonly deliverySeconds = this.#histogram(
    "belfry_delivery_seconds",
    "From publish accepted to written to the socket.",
    [],
  );
  readonly droppedConnections = this.#counter(
    "belfry_dropped_connections_total",
    "Connections that this service closed or refused.",
    ["reason"],
  );
  readonly droppedMessages = this.#counter(
    "belfry_dropped_messages_total",
    "Messages that stopped mattering while they waited for a slow connection.",
    ["reason"],
  );
  readonly resumes = this.#counter("belfry_resumes_total", "Streams resumed by clients.", ["recovered"]);
  readonly requests = this.#counter("belfry_requests_total", "Requests to users, by what came of them.", ["result"]);
  readonly brokerSeconds = this.#histogram("belfry_broker_seconds", "Time of a broker operation.", ["operation"]);
  readonly brokerMalformed = this.#counter(
    "belfry_broker_malformed_total",
    "Messages from Redis that could not be read.",
    [],
  );
  readonly webhookEvents = this.#counter("belfry_webhook_events_total", "Events for the backend, by their end.", [
    "type",
    "result",
  ]);
  readonly httpRequestSeconds = this.#histogram("belfry_http_request_seconds", "Time of an HTTP request.", [
    "route",
    "method",
    "status",
  ]);

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    this.#loopDelay.enable();
    for (const scope of ["broadcast", "user", "topic"]) {
      this.deliveries.inc({ scope }, 0);
      this.publishes.inc({ scope, result: "accepted" }, 0);
    }
    for (const result of ["answered", "offline", "timeout"]) this.requests.inc({ result }, 0);
    for (const recovered of ["true", "false"]) this.resumes.inc({ recovered }, 0);
    for (const reason of ["collapsed", "expired"]) this.droppedMessages.inc({ reason }, 0);
    this.brokerMalformed.inc({}, 0);
    this.deliverySeconds.observe({}, 0, 0);
  }

  /** Adds the gauges that read the running service. */
  observe(gauges: Gauges): void {
    this.#gauge("belfry_connections", "Connections now.", ["transport"], (gauge) => {
      for (const [transport, count] of Object.entries(gauges.connections())) gauge.set({ transport }, count);
    });
    this.#gauge("belfry_users", "Users with a connection here now.", [], (gauge) => gauge.set(gauges.users()));
    this.#gauge("belfry_subscriptions", "Subscriptions of connections to topics now.", [], (gauge) =>
      gauge.set(gauges.subscriptions()),
    );
    this.#gauge("belfry_broker_up", "1 while the broker is reachable, else 0.", [], (gauge) =>
      gauge.set(gauges.brokerUp() ? 1 : 0),
    );
    this.#gauge("belfry_capacity_ratio", "How full this replica is, from 0 to 1.", [], (gauge) =>
      gauge.set(this.#capacityRatio(gauges)),
    );
  }

  /** Adds the gauge of webhooks, where there are any. */
  observeWebhooks(waiting: () => number): void {
    this.#gauge("belfry_webhook_events_waiting", "Events that the backend was not told of yet.", [], (gauge) =>
      gauge.set(waiting()),
    );
  }

  /** The fullest of connections over their limit, heap, and event-loop delay since the last scrape; 0 to 1. */
  #capacityRatio(gauges: Gauges): number {
    const count = Object.values(gauges.connections()).reduce((sum, n) => sum + n, 0);
    const heap = v8.getHeapStatistics();
    const delayMs = this.#loopDelay.count > 0 ? this.#loopDelay.percentile(99) / 1e6 : 0;
    this.#loopDelay.reset();
    const full = Math.max(
      gauges.maxConnections ? count / gauges.maxConnections : 0,
      heap.used_heap_size / heap.heap_size_limit,
      delayMs / fullDelayMs,
    );
    return Math.min(1, full);
  }

  /** The text that Prometheus scrapes. */
  async exposition(): Promise<{ contentType: string; body: string }> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }

  /** Stops what measures in the background. */
  close(): void {
    this.#loopDelay.disable();
    this.#registry.clear();
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    const counter = new Counter(name, help, labelNames);
    this.#registry.registerMetric(counter.asMetric() as unknown as Metric);
    return counter;
  }

  #histogram<L extends string>(name: string, help: string, labelNames: readonly L[]): WeightedHistogram<L> {
    const histogram = new WeightedHistogram(name, help, secondsBuckets, labelNames);
    this.#registry.registerMetric(histogram.asMetric() as unknown as Metric);
    return histogram;
  }

  #gauge<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    read: (gauge: Gauge<L>) => void,
  ): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        read(this);
      },
    });
  }
}
