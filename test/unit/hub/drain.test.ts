import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { drainConnections } from "../../../src/hub/drain.ts";
import { FakeBroker } from "../../support/fake-broker.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import { createHub } from "../../support/hub.ts";

// The pauses of node:timers/promises on the fake clock.
vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number) => new Promise((resolve) => globalThis.setTimeout(resolve, ms)),
}));

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "performance"] }));
afterEach(() => vi.useRealTimers());

/** A hub with connections, and when each of them was closed, in ms. */
async function hubWith(count: number) {
  const hub = createHub(new FakeBroker());
  const start = performance.now();
  const closedAtMs: number[] = [];
  const connections = Array.from({ length: count }, () => new FakeConnection());
  for (const connection of connections) {
    connection.onClose = () => {
      closedAtMs.push(performance.now() - start);
      hub.unregister(connection);
    };
    hub.register(connection, await hub.admit({ user: null }));
  }
  return { hub, connections, closedAtMs };
}

describe("drainConnections", () => {
  it("spreads the closes evenly over nine tenths of the window, and tells the clients the window", async () => {
    const { hub, connections, closedAtMs } = await hubWith(10);
    const drained = drainConnections(hub, 1000);
    await vi.advanceTimersByTimeAsync(1000);
    await drained;
    expect(closedAtMs).toEqual([0, 90, 180, 270, 360, 450, 540, 630, 720, 810]);
    for (const { closes } of connections) expect(closes).toEqual([{ cause: "going_away", reason: "1000" }]);
  });

  it("closes all at once without a window", async () => {
    const { hub, closedAtMs } = await hubWith(3);
    await drainConnections(hub, 0);
    expect(closedAtMs).toEqual([0, 0, 0]);
    expect(hub.size).toBe(0);
  });

  it("ends early when everyone has gone", async () => {
    const { hub, connections } = await hubWith(3);
    let ended = false;
    const drained = drainConnections(hub, 60_000).then(() => {
      ended = true;
    });
    for (const connection of connections) connection.close("forbidden");
    await vi.advanceTimersByTimeAsync(50);
    expect(ended).toBe(true);
    await drained;
  });

  it("has nothing to do without connections", async () => {
    const { hub } = await hubWith(0);
    await drainConnections(hub, 60_000);
    expect(hub.size).toBe(0);
  });
});
