import type { Broker } from "../broker/broker.ts";
import { BelfryError, toBelfryError } from "../errors.ts";
import type { Hub } from "../hub/hub.ts";
import type { Metrics } from "../metrics.ts";
import type { Answer, Route } from "./route.ts";
import { statsSchema } from "./schemas.ts";

const ok: Answer = { status: 200, body: { status: "ok" } };

/** `/healthz` and `/readyz`, for whatever starts, watches and balances the service. */
export function healthRoutes(broker: Broker, isDraining: () => boolean): Route[] {
  return [
    {
      method: "get",
      path: "/healthz",
      summary: "Say whether the process works.",
      answer: { status: 200, description: "It does." },
      handle: () => ok,
    },
    {
      method: "get",
      path: "/readyz",
      summary: "Say whether this replica can serve.",
      answer: { status: 200, description: "It can; 503 with the reason when it cannot." },
      handle: async () => {
        if (isDraining()) throw notReady("this replica is shutting down");
        await broker.check().catch((error: unknown) => {
          throw notReady(toBelfryError(error).message);
        });
        return ok;
      },
    },
  ];
}

/** Answers whoever asks the WebSocket endpoint without a handshake. */
export function upgradeRoute(path: string): Route {
  return {
    method: "get",
    path,
    summary: "The WebSocket endpoint.",
    answer: { status: 101, description: "The handshake is complete." },
    handle: () => {
      throw new BelfryError("upgrade_required", "this path speaks WebSocket; connect with a WebSocket client");
    },
  };
}

function notReady(reason: string): BelfryError {
  return new BelfryError("unavailable", reason, { retryAfterSeconds: 1 });
}

/** `/metrics` and `/stats`. */
export function operationsRoutes(hub: Hub, metrics: Metrics): Route[] {
  return [
    {
      method: "get",
      path: "/metrics",
      summary: "The metrics, as Prometheus reads them.",
      answer: { status: 200, description: "Prometheus text format." },
      handle: async () => ({ status: 200, ...(await metrics.exposition()) }),
    },
    {
      method: "get",
      path: "/stats",
      summary: "Count connections, users and topics, of this replica and of the whole.",
      right: "read",
      answer: { status: 200, description: "The counts.", schema: statsSchema },
      handle: async () => {
        const replicas = await hub.stats();
        const sum = (what: "connections" | "users" | "topics") => replicas.reduce((n, one) => n + one[what], 0);
        const total = {
          replicas: replicas.length,
          connections: sum("connections"),
          users: sum("users"),
          topics: sum("topics"),
        };
        return { status: 200, body: { replica: hub.statsHere(), total, replicas } };
      },
    },
  ];
}
