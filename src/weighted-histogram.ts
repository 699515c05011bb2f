/**
 * A histogram that takes many equal observations in one step. A broadcast to 10,000 connections is 10,000 deliveries of
 * nearly the same duration; prom-client's own histogram would be called 10,000 times.
 */
export class WeightedHistogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** @param bounds upper bounds of the buckets, ascending, without +Inf */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  /** Counts `weight` observations of `value`. */
  observe(value: number, weight: number): void {
    this.#sum += value * weight;
    this.#count += weight;
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    if (bucket !== -1) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + weight;
  }

  /** What prom-client's registry asks of a metric. */
  asMetric() {
    return { name: this.#name, get: () => this.#read(), reset: () => {} };
  }

  #read() {
    let below = 0;
    const values: { metricName: string; labels: Record<string, string | number>; value: number }[] = [];
    for (const [index, bound] of this.#bounds.entries()) {
      below += this.#counts[index] ?? 0;
      values.push({ metricName: `${this.#name}_bucket`, labels: { le: bound }, value: below });
    }
    values.push({ metricName: `${this.#name}_bucket`, labels: { le: "+Inf" }, value: this.#count });
    values.push({ metricName: `${this.#name}_sum`, labels: {}, value: this.#sum });
    values.push({ metricName: `${this.#name}_count`, labels: {}, value: this.#count });
    return { name: this.#name, help: this.#help, type: "histogram", aggregator: "sum", values };
  }
}
