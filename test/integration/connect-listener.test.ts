import { once } from "node:events";
import { expect, test, vi } from "vitest";
import { WsConnection } from "../../src/ws/connection.ts";
import { startService } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

test("lets go of a connection that a listener of connect closes", async () => {
  const terminate = vi.spyOn(WsConnection.prototype, "terminate");
  const { belfry, port } = await startService({ pingIntervalMs: 100, pongTimeoutMs: 200 });
  belfry.on("connect", (client) => client.user === "mallory" && client.disconnect("not you"));
  const mallory = await TestClient.open(port, "mallory");
  expect(await mallory.closed).toEqual({ code: 4403, reason: "not you" });

  // By alice's seventh ping whoever has been silent since is overdue.
  const alice = await TestClient.welcomed(port, "alice");
  for (let pings = 0; pings < 7; pings++) await once(alice.ws, "ping");

  expect(terminate).not.toHaveBeenCalled();
});
