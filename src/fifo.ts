/** A queue with cheap ends: what is taken out at the front leaves a gap that is closed now and then. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The item at the front, left where it is. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** The item at an index, counted from the front. */
  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  /** Takes the item at the front out. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Drops every item that the test does not hold for. */
  keep(test: (item: T) => boolean): void {
    this.#items = [...this.from(0)].filter(test);
    this.#head = 0;
  }

  /** The items from the given index on, counted from the front. */
  *from(index: number): Generator<T> {
    for (let i = this.#head + index; i < this.#items.length; i++) yield this.#items[i] as T;
  }
}
