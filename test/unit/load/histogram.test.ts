import { describe, expect, it } from "vitest";
import { Histogram } from "../../../src/load/histogram.ts";

function filled(values: Iterable<number>): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

describe("Histogram", () => {
  it("says 0 of no values", () => {
    expect(new Histogram().percentiles()).toEqual({ count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 });
  });

  it.each([1, 255, 256, 257, 1e6, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 1e12])("knows %d to 1 in 256", (value) => {
    const histogram = filled([value, value, 2 * value]);
    expect(Math.abs(histogram.percentile(0.5) - value)).toBeLessThanOrEqual(value / 256);
    expect(histogram.percentiles().max).toBe(2 * value);
  });

  it("finds percentiles as sorting does", () => {
    const values = Array.from({ length: 10_000 }, (_, i) => ((i * 7919) % 10_000) * 12_345);
    const sorted = values.toSorted((a, b) => a - b);
    const histogram = filled(values);
    for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = sorted[Math.ceil(share * values.length) - 1] ?? 0;
      expect(Math.abs(histogram.percentile(share) - exact)).toBeLessThanOrEqual(exact / 256 + 1);
    }
  });

  it("counts what is out of its range at its ends", () => {
    const histogram = filled([-5, 0, 1e300]);
    expect(histogram.count).toBe(3);
    expect(histogram.percentile(0.5)).toBe(0);
  });

  it("goes on from the counts of another, to a step", () => {
    const { p50, max } = new Histogram(filled([1000, 2000, 3000]).counts).percentiles();
    expect(Math.abs(p50 - 2000)).toBeLessThan(8);
    expect(Math.abs(max - 3000)).toBeLessThan(12);
  });

  it("forgets", () => {
    const histogram = filled([7]);
    histogram.reset();
    expect(histogram.percentiles()).toMatchObject({ count: 0, max: 0 });
  });
});
