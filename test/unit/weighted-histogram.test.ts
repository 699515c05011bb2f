import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { WeightedHistogram } from "../../src/weighted-histogram.ts";

async function exposition<L extends string>(histogram: WeightedHistogram<L>): Promise<string[]> {
  const registry = new Registry();
  registry.registerMetric(histogram.asMetric() as never);
  return (await registry.metrics()).trim().split("\n");
}

describe("WeightedHistogram", () => {
  it("has every bucket at zero before the first observation", async () => {
    const histogram = new WeightedHistogram("wait_seconds", "Waiting.", [0.5, 1], []);
    histogram.observe({}, 0, 0);
    expect(await exposition(histogram)).toEqual([
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
    const histogram = new WeightedHistogram("wait_seconds", "Waiting.", [0.5, 1], []);
    histogram.observe({}, 0.25, 3);
    histogram.observe({}, 0.5, 1);
    histogram.observe({}, 0.75, 10);
    histogram.observe({}, 2, 100);
    expect((await exposition(histogram)).slice(2)).toEqual([
      'wait_seconds_bucket{le="0.5"} 4',
      'wait_seconds_bucket{le="1"} 14',
      'wait_seconds_bucket{le="+Inf"} 114',
      "wait_seconds_sum 208.75",
      "wait_seconds_count 114",
    ]);
  });

  it("goes on counting after it was read", async () => {
    const histogram = new WeightedHistogram("wait_seconds", "Waiting.", [1], []);
    histogram.observe({}, 1, 1);
    await exposition(histogram);
    histogram.observe({}, 1, 1);
    expect(await exposition(histogram)).toContain("wait_seconds_count 2");
  });

  it("counts for each combination of labels, however often it is read", async () => {
    const histogram = new WeightedHistogram("wait_seconds", "Waiting.", [1], ["place", "status"]);
    histogram.observe({ place: "here", status: 200 }, 0.5);
    histogram.observe({ place: "here", status: 500 }, 2);
    histogram.observe({ status: 200, place: "here" }, 1, 2);
    await exposition(histogram);
    expect((await exposition(histogram)).slice(2)).toEqual([
      'wait_seconds_bucket{le="1",place="here",status="200"} 3',
      'wait_seconds_bucket{le="+Inf",place="here",status="200"} 3',
      'wait_seconds_sum{place="here",status="200"} 2.5',
      'wait_seconds_count{place="here",status="200"} 3',
      'wait_seconds_bucket{le="1",place="here",status="500"} 0',
      'wait_seconds_bucket{le="+Inf",place="here",status="500"} 1',
      'wait_seconds_sum{place="here",status="500"} 2',
      'wait_seconds_count{place="here",status="500"} 1',
    ]);
  });
});
