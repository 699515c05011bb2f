import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Heartbeat, type Pulsed } from "../../src/heartbeat.ts";

const options = { pingIntervalMs: 25_000, pongTimeoutMs: 10_000 };

/** A connection whose client answers pings, or is silent. */
function client(answers = true) {
  const pings: number[] = [];
  const connection = {
    lastSeenMs: performance.now(),
    nextPingMs: 0,
    terminatedAtMs: undefined as number | undefined,
    ping() {
      pings.push(performance.now());
      if (answers) connection.lastSeenMs = performance.now();
    },
    terminate() {
      connection.terminatedAtMs ??= performance.now();
      heartbeat.delete(connection as unknown as Pulsed);
    },
  };
  return { connection, pings, asConnection: connection as unknown as Pulsed };
}

let heartbeat: Heartbeat;

beforeEach(() => {
  vi.useFakeTimers();
  heartbeat = new Heartbeat(options);
});
afterEach(() => {
  heartbeat.close();
  vi.useRealTimers();
});

describe("Heartbeat", () => {
  it("pings every 80 to 100 % of the interval, give or take one look, and keeps whoever answers", () => {
    const { asConnection, connection, pings } = client();
    const start = performance.now();
    heartbeat.add(asConnection);
    vi.advanceTimersByTime(1_000_000);
    expect(connection.terminatedAtMs).toBeUndefined();
    expect(pings.length).toBeGreaterThanOrEqual(38);
    for (const [index, ping] of pings.entries()) {
      const pauseMs = ping - (pings[index - 1] ?? start);
      expect(pauseMs).toBeGreaterThanOrEqual(20_000);
      expect(pauseMs).toBeLessThanOrEqual(25_400);
    }
  });

  it("does not ping clients in step that came together", () => {
    const clients = Array.from({ length: 50 }, () => client());
    for (const { asConnection } of clients) heartbeat.add(asConnection);
    vi.advanceTimersByTime(26_000);
    expect(new Set(clients.map(({ pings }) => pings[0])).size).toBeGreaterThan(5);
  });

  it("ends a silent connection soon after interval and timeout, not before", () => {
    const { asConnection, connection, pings } = client(false);
    heartbeat.add(asConnection);
    vi.advanceTimersByTime(35_000);
    expect(pings).toHaveLength(1);
    expect(connection.terminatedAtMs).toBeUndefined();
    vi.advanceTimersByTime(1000);
    expect(connection.terminatedAtMs).toBeDefined();
  });

  it("lets a client live that sends frames but answers no ping", () => {
    const { asConnection, connection } = client(false);
    heartbeat.add(asConnection);
    for (let n = 0; n < 20; n++) {
      vi.advanceTimersByTime(10_000);
      connection.lastSeenMs = performance.now();
    }
    expect(connection.terminatedAtMs).toBeUndefined();
  });

  it("leaves a connection alone that has gone, and everyone once it is closed", () => {
    const [gone, left] = [client(false), client(false)];
    heartbeat.add(gone.asConnection);
    heartbeat.add(left.asConnection);
    heartbeat.delete(gone.asConnection);
    vi.advanceTimersByTime(26_000);
    heartbeat.close();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(100_000);
    expect([gone.pings.length, left.pings.length]).toEqual([0, 1]);
    expect(left.connection.terminatedAtMs).toBeUndefined();
  });

  it("looks often enough for short intervals, with one timer for all", () => {
    heartbeat.close();
    heartbeat = new Heartbeat({ pingIntervalMs: 100, pongTimeoutMs: 50 });
    const clients = Array.from({ length: 10 }, () => client(false));
    for (const { asConnection } of clients) heartbeat.add(asConnection);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(165);
    for (const { connection } of clients) expect(connection.terminatedAtMs).toBeDefined();
  });
});
