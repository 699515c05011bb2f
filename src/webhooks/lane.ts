import { Fifo } from "../fifo.ts";
import type { Result } from "./deliver.ts";

/** What the backend is told of. */
export const eventTypes = ["connect", "disconnect", "message", "undelivered"] as const;
export type EventType = (typeof eventTypes)[number];

/** An event on its way to the backend. */
export interface WebhookEvent {
  readonly type: EventType;
  /** The event as JSON. */
  readonly json: string;
  /** Told what became of it, once. */
  readonly onSettled?: (result: Result) => void;
}

/** What fits into a {@link Lane}, and into a batch. */
export interface LaneLimits {
  /** Events, those being sent included. */
  readonly maxEvents: number;
  /** Bytes of all events that wait, unless it is one alone. */
  readonly maxBytes: number;
  readonly maxBatchEvents: number;
  /** Bytes of the events of a batch, unless it is one alone. */
  readonly maxBatchBytes: number;
  /** Longest time that the first event of a batch waits for others, in ms. */
  readonly lingerMs: number;
}

interface Waiting {
  readonly event: WebhookEvent;
  readonly bytes: number;
  /** When it came, by {@link performance.now}. */
  readonly sinceMs: number;
}

/** Events that are sent in their order, batch by batch, one at a time. */
export class Lane {
  readonly #limits: LaneLimits;
  readonly #send: (events: readonly WebhookEvent[]) => Promise<Result>;
  readonly #waiting = new Fifo<Waiting>();
  #bytes = 0;
  #sending = 0;
  /** Ends the wait for more events. */
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #isClosing = false;

  /** @param send sends a batch; never rejects */
  constructor(limits: LaneLimits, send: (events: readonly WebhookEvent[]) => Promise<Result>) {
    this.#limits = limits;
    this.#send = send;
  }

  /** Events that are not settled yet. */
  get size(): number {
    return this.#waiting.length + this.#sending;
  }

  /**
   * Takes an event, to be sent soon.
   *
   * @returns false when there is no room for it; nobody is told what became of it then
   */
  offer(event: WebhookEvent): boolean {
    const bytes = Buffer.byteLength(event.json);
    const { maxEvents, maxBytes } = this.#limits;
    const isFull = this.size >= maxEvents || (this.#bytes > 0 && this.#bytes + bytes > maxBytes);
    if (isFull || this.#isClosing) return false;
    this.#waiting.push({ event, bytes, sinceMs: performance.now() });
    this.#bytes += bytes;
    if (this.#hasBatch) this.#wake?.();
    this.#running ??= this.#run();
    return true;
  }

  /** Takes nothing any more, and resolves when what it has is settled. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let first = this.#waiting.peek(); first; first = this.#waiting.peek()) {
      await this.#linger(first.sinceMs + this.#limits.lingerMs - performance.now());
      const batch = this.#takeBatch();
      this.#sending = batch.length;
      const result = await this.#send(batch);
      this.#sending = 0;
      for (const { onSettled } of batch) onSettled?.(result);
    }
    this.#running = undefined;
  }

  /** Waits for more events, until there is a whole batch. */
  async #linger(ms: number): Promise<void> {
    if (ms <= 0 || this.#hasBatch || this.#isClosing) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  get #hasBatch(): boolean {
    return this.#waiting.length >= this.#limits.maxBatchEvents || this.#bytes >= this.#limits.maxBatchBytes;
  }

  #takeBatch(): WebhookEvent[] {
    const { maxBatchEvents, maxBatchBytes } = this.#limits;
    const batch: WebhookEvent[] = [];
    let bytes = 0;
    for (let next = this.#waiting.peek(); next && batch.length < maxBatchEvents; next = this.#waiting.peek()) {
      if (batch.length > 0 && bytes + next.bytes > maxBatchBytes) break;
      this.#waiting.shift();
      batch.push(next.event);
      bytes += next.bytes;
    }
    this.#bytes -= bytes;
    return batch;
  }
}
