/** Steps of each power of two: no value is off by more than 1 in 256. */
const steps = 256;
const stepBits = 8;

/** Powers of two beyond the first: values up to 2^48 ns, three days. */
const powers = 40;

/** What a {@link Histogram} says of its values, in ns. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Counts of values in a fixed number of steps that grow with the values, so that every percentile is as exact. */
export class Histogram {
  readonly #counts: Uint32Array<ArrayBuffer>;
  #count = 0;
  #max = 0;

  /** @param counts of another one, to go on from */
  constructor(counts: Uint32Array<ArrayBuffer> = new Uint32Array(steps * (powers + 1))) {
    this.#counts = counts;
    for (const [index, count] of counts.entries()) {
      this.#count += count;
      if (count > 0) this.#max = middleOf(index);
    }
  }

  /** How many values there are. */
  get count(): number {
    return this.#count;
  }

  /** What it knows, to be sent to another thread; the greatest value is known to a step there. */
  get counts(): Uint32Array<ArrayBuffer> {
    return this.#counts;
  }

  /** Counts a value in ns; one below 0 is 0. */
  add(value: number): void {
    const index = indexOf(value > 0 ? value : 0);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
    if (value > this.#max) this.#max = value;
  }

  /** Forgets all values. */
  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#max = 0;
  }

  /** The value that this share of all does not exceed, in ns; 0 without values. */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(share * this.#count));
    for (const [index, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(middleOf(index), this.#max);
    }
    return this.#max;
  }

  /** The usual ones. */
  percentiles(): Percentiles {
    const [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map((share) => this.percentile(share)) as [
      number,
      number,
      number,
      number,
    ];
    return { count: this.#count, p50, p90, p99, p999, max: this.#max };
  }
}

function indexOf(value: number): number {
  if (value < steps) return Math.floor(value);
  const power = Math.min(exponentOf(value) - stepBits, powers - 1);
  const step = Math.min(steps - 1, Math.floor(value / 2 ** power) - steps);
  return steps * (power + 1) + step;
}

/** The middle of a step. */
function middleOf(index: number): number {
  if (index < steps) return index;
  const power = Math.floor(index / steps) - 1;
  return (steps + (index % steps) + 0.5) * 2 ** power;
}

/** The greatest n with 2^n <= value. */
function exponentOf(value: number): number {
  return value < 2 ** 32 ? 31 - Math.clz32(value) : 63 - Math.clz32(value / 2 ** 32);
}
