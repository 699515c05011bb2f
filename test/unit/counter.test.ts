import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { Counter } from "../../src/counter.ts";

async function exposition<L extends string>(counter: Counter<L>): Promise<string> {
  const registry = new Registry();
  registry.registerMetric(counter.asMetric() as never);
  return registry.metrics();
}

describe("Counter", () => {
  it("counts for each combination of labels", async () => {
    const counter = new Counter("jumps_total", "Jumps.", ["who", "how"]);
    counter.inc({ who: "a", how: "high" }, 0);
    counter.inc({ who: "a", how: "far" });
    counter.inc({ who: "b", how: "far" }, 3);
    counter.inc({ how: "far", who: "a" });
    expect((await exposition(counter)).trim().split("\n")).toEqual([
      "# HELP jumps_total Jumps.",
      "# TYPE jumps_total counter",
      'jumps_total{who="a",how="high"} 0',
      'jumps_total{who="a",how="far"} 2',
      'jumps_total{who="b",how="far"} 3',
    ]);
  });

  it("counts without labels, and goes on after it was read", async () => {
    const counter = new Counter("jumps_total", "Jumps.", []);
    counter.inc({});
    await exposition(counter);
    counter.inc({}, 2);
    expect(await exposition(counter)).toContain("\njumps_total 3\n");
  });

  it("keeps labels as they were when the caller changes them", async () => {
    const counter = new Counter("jumps_total", "Jumps.", ["who"]);
    const labels = { who: "a" };
    counter.inc(labels);
    labels.who = "b";
    expect(await exposition(counter)).toContain('jumps_total{who="a"} 1');
  });
});
