import { describe, expect, it } from "vitest";
import { Fifo } from "../../src/fifo.ts";

function filled(count: number): Fifo<number> {
  const fifo = new Fifo<number>();
  for (let n = 0; n < count; n++) fifo.push(n);
  return fifo;
}

describe("Fifo", () => {
  it("is empty at first", () => {
    const fifo = new Fifo();
    expect([fifo.length, fifo.peek(), fifo.shift(), fifo.length]).toEqual([0, undefined, undefined, 0]);
    expect([...fifo.from(0)]).toEqual([]);
  });

  it("gives items out in the order they came in", () => {
    const fifo = filled(1000);
    for (let n = 0; n < 1000; n++) {
      expect(fifo.length).toBe(1000 - n);
      expect(fifo.peek()).toBe(n);
      expect(fifo.shift()).toBe(n);
    }
    expect(fifo.shift()).toBeUndefined();
    fifo.push(7);
    expect([...fifo.from(0)]).toEqual([7]);
  });

  it("counts from the front, wherever that is", () => {
    const fifo = filled(200);
    for (let n = 0; n < 150; n++) fifo.shift();
    expect([...fifo.from(0)].slice(0, 2)).toEqual([150, 151]);
    expect([...fifo.from(48)]).toEqual([198, 199]);
    expect([...fifo.from(50)]).toEqual([]);
  });

  it("keeps what a test holds for, in order", () => {
    const fifo = filled(100);
    for (let n = 0; n < 10; n++) fifo.shift();
    fifo.keep((n) => n % 30 === 0);
    expect([fifo.length, fifo.peek()]).toEqual([3, 30]);
    expect([...fifo.from(0)]).toEqual([30, 60, 90]);
  });

  it("can be read while items come in", () => {
    const fifo = filled(2);
    const seen: number[] = [];
    for (const n of fifo.from(0)) {
      seen.push(n);
      if (n === 0) fifo.push(9);
    }
    expect(seen).toEqual([0, 1, 9]);
  });
});
