/** A value for each label of a metric. */
export type Labels<L extends string> = Readonly<Record<L, string | number>>;

/** By the value of one label: what is kept, or the same again by the next label's value. */
interface Node<T> {
  readonly next: Map<string | number, Node<T>>;
  kept?: T;
}

/**
 * What a metric keeps for each combination of its labels' values. It is found by one value after the other; prom-client
 * writes all of them into one text to look that up, each time, which takes longer than most of what is measured.
 */
export class Series<L extends string, T> {
  readonly #names: readonly L[];
  readonly #create: () => T;
  readonly #root: Node<T> = { next: new Map() };
  readonly #all: (readonly [Labels<L>, T])[] = [];

  constructor(names: readonly L[], create: () => T) {
    this.#names = names;
    this.#create = create;
  }

  /** What is kept for these values, made on first use. */
  at(labels: Labels<L>): T {
    let node = this.#root;
    for (const name of this.#names) node = node.next.get(labels[name]) ?? grow(node, labels[name]);
    if (node.kept === undefined) {
      node.kept = this.#create();
      this.#all.push([{ ...labels }, node.kept]);
    }
    return node.kept;
  }

  /** Everything that is kept, with its labels. */
  all(): readonly (readonly [Labels<L>, T])[] {
    return this.#all;
  }
}

function grow<T>(node: Node<T>, value: string | number): Node<T> {
  const grown: Node<T> = { next: new Map() };
  node.next.set(value, grown);
  return grown;
}
