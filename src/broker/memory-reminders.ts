import { maxReminders, type Reminders } from "./reminders.ts";

/** The reminders of one process. */
export class MemoryReminders implements Reminders {
  /** When each is due. */
  readonly #dueMs = new Map<string, number>();

  async add(text: string, dueMs: number): Promise<boolean> {
    if (this.#dueMs.has(text)) return true;
    if (this.#dueMs.size >= maxReminders) return false;
    this.#dueMs.set(text, dueMs);
    return true;
  }

  async take(nowMs: number, limit: number, leaseMs: number): Promise<string[]> {
    const due: [text: string, dueMs: number][] = [];
    for (const entry of this.#dueMs) if (entry[1] <= nowMs) due.push(entry);
    const taken = due.toSorted(([, a], [, b]) => a - b).slice(0, limit);
    for (const [text] of taken) this.#dueMs.set(text, nowMs + leaseMs);
    return taken.map(([text]) => text);
  }

  async forget(texts: readonly string[]): Promise<void> {
    for (const text of texts) this.#dueMs.delete(text);
  }
}
