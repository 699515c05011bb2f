import { beforeEach, describe, expect, it, vi } from "vitest";
import { Sweeper } from "../../../src/hub/sweeper.ts";
import { settled } from "../../support/fake-broker.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  return () => vi.useRealTimers();
});

describe("Sweeper", () => {
  it.each([
    [1, 1],
    [256, 1],
    [257, 20],
  ])("gives %d streams a slice of %d ms in an idle service", async (count, ms) => {
    const sweeper = new Sweeper();
    const slices: number[] = [];
    const stream = () => ({ sweep: (untilMs: number) => slices.push(untilMs - performance.now()) < 0 });
    for (let n = 0; n < count; n++) sweeper.add(stream());
    await settled();
    expect(slices).toEqual(Array(count).fill(ms));
  });
});
