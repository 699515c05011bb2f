import v8 from "node:v8";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Gauges, Metrics } from "../../src/metrics.ts";

let metrics: Metrics;
beforeEach(() => {
  metrics = new Metrics();
});
afterEach(() => metrics.close());

const gauges: Gauges = {
  connections: () => ({ ws: 3, sse: 1 }),
  users: () => 2,
  subscriptions: () => 5,
  brokerUp: () => true,
};

async function lines(): Promise<string[]> {
  return (await metrics.exposition()).body.split("\n");
}

/** The value of one sample; undefined when it is not there. */
async function sample(name: string): Promise<number | undefined> {
  const line = (await lines()).find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

describe("the exposition", () => {
  it.each([
    ["belfry_connections", "gauge"],
    ["belfry_users", "gauge"],
    ["belfry_subscriptions", "gauge"],
    ["belfry_publishes_total", "counter"],
    ["belfry_deliveries_total", "counter"],
    ["belfry_delivery_seconds", "histogram"],
    ["belfry_dropped_connections_total", "counter"],
    ["belfry_dropped_messages_total", "counter"],
    ["belfry_resumes_total", "counter"],
    ["belfry_broker_up", "gauge"],
    ["belfry_broker_seconds", "histogram"],
    ["belfry_capacity_ratio", "gauge"],
    ["belfry_http_request_seconds", "histogram"],
  ])("has %s, a %s, with a text", async (name, type) => {
    metrics.observe(gauges);
    const all = await lines();
    expect(all).toContain(`# TYPE ${name} ${type}`);
    expect(all.find((line) => line.startsWith(`# HELP ${name} `))).toMatch(/ \S+ \S+ \w.*\.$/);
  });

  it("has Node's own metrics as well", async () => {
    expect(await sample("process_cpu_seconds_total")).toBeGreaterThan(0);
    expect((await metrics.exposition()).contentType).toContain("text/plain");
  });

  it("begins counters at zero, so that a first increase is seen as one", async () => {
    for (const scope of ["broadcast", "user", "topic"]) {
      expect(await sample(`belfry_publishes_total{scope="${scope}",result="accepted"}`)).toBe(0);
      expect(await sample(`belfry_deliveries_total{scope="${scope}"}`)).toBe(0);
    }
    for (const reason of ["collapsed", "expired"]) {
      expect(await sample(`belfry_dropped_messages_total{reason="${reason}"}`)).toBe(0);
    }
    expect(await sample('belfry_resumes_total{recovered="true"}')).toBe(0);
    expect(await sample('belfry_resumes_total{recovered="false"}')).toBe(0);
    expect(await sample("belfry_delivery_seconds_count")).toBe(0);
  });

  it("reads the gauges anew each time", async () => {
    let brokerUp = false;
    let users = 7;
    metrics.observe({ ...gauges, brokerUp: () => brokerUp, users: () => users });
    expect(await sample('belfry_connections{transport="ws"}')).toBe(3);
    expect(await sample('belfry_connections{transport="sse"}')).toBe(1);
    expect([await sample("belfry_users"), await sample("belfry_broker_up")]).toEqual([7, 0]);
    [brokerUp, users] = [true, 8];
    expect([await sample("belfry_users"), await sample("belfry_broker_up")]).toEqual([8, 1]);
    expect(await sample("belfry_subscriptions")).toBe(5);
  });

  it("counts what happened", async () => {
    metrics.deliverySeconds.observe({}, 0.002, 10);
    metrics.httpRequestSeconds.observe({ route: "/users/:id", method: "GET", status: 200 }, 0.1);
    metrics.droppedConnections.inc({ reason: "slow_consumer" });
    expect(await sample('belfry_delivery_seconds_bucket{le="0.0025"}')).toBe(10);
    expect(await sample('belfry_delivery_seconds_bucket{le="0.001"}')).toBe(0);
    const labels = 'route="/users/:id",method="GET",status="200"';
    expect(await sample(`belfry_http_request_seconds_count{${labels}}`)).toBe(1);
    expect(await sample('belfry_dropped_connections_total{reason="slow_consumer"}')).toBe(1);
  });

  it("of one service is not that of another in the same process", async () => {
    const other = new Metrics();
    other.deliveries.inc({ scope: "user" }, 5);
    expect(await sample('belfry_deliveries_total{scope="user"}')).toBe(0);
    other.close();
  });
});

describe("the capacity ratio", () => {
  /** As with a heap that is used to the given part. */
  const heap = (used: number) => {
    const real = v8.getHeapStatistics();
    vi.spyOn(v8, "getHeapStatistics").mockReturnValue({ ...real, used_heap_size: used * 1000, heap_size_limit: 1000 });
  };

  it.each([
    [4, 10, 0, 0.4],
    [4, 10, 0.7, 0.7],
    [4, undefined, 0.25, 0.25],
    [20, 10, 0, 1],
    [0, 10, 3, 1],
  ])("with %d of %s connections and %d of the heap is %d", async (ws, maxConnections, used, expected) => {
    heap(used);
    metrics.observe({ ...gauges, connections: () => ({ ws }), maxConnections });
    await sample("belfry_capacity_ratio");
    // The event loop was not blocked since, so it does not count.
    expect(await sample("belfry_capacity_ratio")).toBeCloseTo(expected, 1);
  });

  it("counts connections of every transport", async () => {
    heap(0);
    metrics.observe({ ...gauges, connections: () => ({ ws: 3, sse: 5 }), maxConnections: 10 });
    await sample("belfry_capacity_ratio");
    expect(await sample("belfry_capacity_ratio")).toBeCloseTo(0.8, 1);
  });

  it("stays between 0 and 1 as it is", async () => {
    metrics.observe(gauges);
    const ratio = await sample("belfry_capacity_ratio");
    expect(ratio).toBeGreaterThan(0);
    expect(ratio).toBeLessThanOrEqual(1);
  });
});
