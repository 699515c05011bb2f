import { type Labels, Series } from "./series.ts";

/** A counter whose counting is an addition, see {@link Series}. */
export class Counter<L extends string> {
  readonly #name: string;
  readonly #help: string;
  readonly #series: Series<L, { count: number }>;

  constructor(name: string, help: string, labelNames: readonly L[]) {
    this.#name = name;
    this.#help = help;
    this.#series = new Series(labelNames, () => ({ count: 0 }));
  }

  /** Counts; by 0 it makes the series known. */
  inc(labels: Labels<L>, by = 1): void {
    this.#series.at(labels).count += by;
  }

  /** What prom-client's registry asks of a metric. */
  asMetric() {
    return { name: this.#name, get: () => this.#read(), reset: () => {} };
  }

  #read() {
    const values = this.#series.all().map(([labels, { count }]) => ({ labels, value: count }));
    return { name: this.#name, help: this.#help, type: "counter", aggregator: "sum", values };
  }
}
