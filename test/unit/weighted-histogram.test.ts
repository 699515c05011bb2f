import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { WeightedHistogram } from "../../src/weighted-histogram.ts";

async function exposition(histogram: WeightedHistogram): Promise<string[]> {
  const registry = new Registry();
  registry.registerMetric(histogram.asMetric() as never);
  return (await registry.metrics()).trim().split("\n");
}

describe("WeightedHistogram", () => {
  it("starts with every bucket at zero", async () => {
    expect(await exposition(new WeightedHistogram("wait_seconds", "Waiting.", [0.5, 1]))).toEqual([
      "# HELP wait_seconds Waiting.",
      "# TYPE wait_seconds histogram",
      'wait_seconds_bucket{le="0.5"} 0',
      'wait_seconds_bucket{le="1"} 0',
      'wait_seconds_bucket{le="+Inf"} 0',
      "wait_seconds_sum 0",
      "wait_seconds_count 0",
    ]);
  });

  it("counts an observation as often as its weight says, in its bucket and all above", async () => {
    const histogram = new WeightedHistogram("wait_seconds", "Waiting.", [0.5, 1]);
    histogram.observe(0.25, 3);
    histogram.observe(0.5, 1);
    histogram.observe(0.75, 10);
    histogram.observe(2, 100);
    expect((await exposition(histogram)).slice(2)).toEqual([
      'wait_seconds_bucket{le="0.5"} 4',
      'wait_seconds_bucket{le="1"} 14',
      'wait_seconds_bucket{le="+Inf"} 114',
      "wait_seconds_sum 208.75",
      "wait_seconds_count 114",
    ]);
  });

  it("goes on counting after it was read", async () => {
    const histogram = new WeightedHistogram("wait_seconds", "Waiting.", [1]);
    histogram.observe(1, 1);
    await exposition(histogram);
    histogram.observe(1, 1);
    expect(await exposition(histogram)).toContain("wait_seconds_count 2");
  });
});
