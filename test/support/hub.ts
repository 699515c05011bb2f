import type { Broker } from "../../src/broker/broker.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { HubOptions } from "../../src/hub/parts.ts";
import { createLog } from "../../src/log.ts";
import { FakeConnection } from "./fake-connection.ts";

/** A hub that has begun to work, with small limits: 1,000 bytes, 2 connections of a user. */
export function createHub(broker: Broker, options: Partial<HubOptions> = {}): Hub {
  const hub = new Hub({
    broker,
    log: createLog("silent"),
    replica: "replica-1",
    maxPayloadBytes: 1000,
    maxPassBytes: 1000,
    maxConnectionsPerUser: 2,
    overLimit: "reject",
    maxSubscriptions: 100,
    ...options,
  });
  hub.start();
  return hub;
}

/** Connects as a transport does. */
export async function connect(hub: Hub, user: string | null = null): Promise<FakeConnection> {
  const connection = new FakeConnection(user);
  connection.onClose = () => hub.unregister(connection);
  hub.register(connection, await hub.admit({ user }));
  return connection;
}
