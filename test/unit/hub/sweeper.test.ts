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
    const stream = () => ({
      sweep: (untilMs: number) => slices.push(untilMs - performance.now()) < 0,
      hasBefore: () => false,
    });
    for (let n = 0; n < count; n++) sweeper.add(stream());
    await settled();
    expect(slices).toEqual(Array(count).fill(ms));
  });

  it("knows whether the stream that has its turn has the oldest message, unless another had a turn before", async () => {
    const sweeper = new Sweeper();
    const seen: [name: string, isFirst: boolean][] = [];
    const add = (name: string, oldest: number, newest: number, turns: number) => {
      let left = turns;
      const sweep = () => {
        seen.push([name, sweeper.isFirst(newest)]);
        return --left > 0;
      };
      sweeper.add({ sweep, hasBefore: (number) => oldest < number });
    };
    add("one", 1, 1, 1);
    add("two", 2, 4, 2);
    add("three", 3, 3, 1);
    add("five", 5, 5, 1);
    await settled();
    expect(seen).toEqual([
      ["one", true],
      ["two", false],
      ["three", false],
      ["five", false],
      ["two", true],
    ]);
  });
});
