import { type Labels, Series } from "./series.ts";

/** What one series has counted. */
interface Observed {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** One line of the exposition. */
interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/**
 * A histogram that takes many equal observations in one step. A broadcast to 10,000 connections is 10,000 deliveries of
 * nearly the same duration; prom-client's own histogram would be called 10,000 times.
 */
export class WeightedHistogram<L extends string> {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #series: Series<L, Observed>;

  /** @param bounds upper bounds of the buckets, ascending, without +Inf */
  constructor(name: string, help: string, bounds: readonly number[], labelNames: readonly L[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
    this.#series = new Series(labelNames, () => ({ counts: bounds.map(() => 0), sum: 0, count: 0 }));
  }

  /** Counts `weight` observations of `value`; 0 of them make the series known. */
  observe(labels: Labels<L>, value: number, weight = 1): void {
    const observed = this.#series.at(labels);
    observed.sum += value * weight;
    observed.count += weight;
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    if (bucket !== -1) observed.counts[bucket] = (observed.counts[bucket] ?? 0) + weight;
  }

  /** What prom-client's registry asks of a metric. */
  asMetric() {
    return { name: this.#name, get: () => this.#read(), reset: () => {} };
  }

  #read() {
    const values = this.#series.all().flatMap(([labels, observed]) => this.#samples(labels, observed));
    return { name: this.#name, help: this.#help, type: "histogram", aggregator: "sum", values };
  }

  #samples(labels: Labels<L>, { counts, sum, count }: Observed): Sample[] {
    let below = 0;
    const bucket = (le: number | string, value: number) => ({
      metricName: `${this.#name}_bucket`,
      labels: { le, ...labels },
      value,
    });
    const buckets = this.#bounds.map((bound, index) => {
      below += counts[index] ?? 0;
      return bucket(bound, below);
    });
    return [
      ...buckets,
      bucket("+Inf", count),
      { metricName: `${this.#name}_sum`, labels, value: sum },
      { metricName: `${this.#name}_count`, labels, value: count },
    ];
  }
}
