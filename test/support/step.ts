import fc from "fast-check";

/** One kind of step in a random schedule, with the number that says how much of it. */
export function step<const K extends string>(weight: number, kind: K, count: fc.Arbitrary<number> = fc.constant(0)) {
  return { weight, arbitrary: fc.record({ kind: fc.constant(kind), count }) };
}
