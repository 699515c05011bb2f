import { once } from "node:events";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Phase, PublishReport } from "./publish-phase.ts";
import type { PublishPlan } from "./publishing.ts";

/** What the thread of a publisher begins with. */
export interface PublisherData {
  readonly plan: PublishPlan;
  readonly acceptedOf: Uint32Array;
}

/** What is said to it. */
export type ToPublisher = { readonly kind: "run"; readonly phase: Phase } | { readonly kind: "stop" };

/** What it says. */
export type FromPublisher =
  | { readonly kind: "connected" }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "report"; readonly report: PublishReport };

/** Publishes from a thread of its own. */
export class Publisher {
  /** Messages that the server took, by each name, or in the first place for broadcasts; shared with the thread. */
  readonly acceptedOf: Uint32Array;
  readonly #worker: Worker;

  private constructor(worker: Worker, acceptedOf: Uint32Array) {
    this.#worker = worker;
    this.acceptedOf = acceptedOf;
  }

  /** Starts the thread and connects; rejects when that fails. */
  static async start(plan: PublishPlan): Promise<Publisher> {
    const places = plan.to === "broadcast" ? 1 : plan.names;
    const acceptedOf = new Uint32Array(new SharedArrayBuffer(places * Uint32Array.BYTES_PER_ELEMENT));
    // Built or not, the thread's file stands beside this one.
    const file = new URL(`./publisher-thread${extname(import.meta.url)}`, import.meta.url);
    const workerData: PublisherData = { plan, acceptedOf };
    const publisher = new Publisher(new Worker(file, { workerData }), acceptedOf);
    try {
      await publisher.#next("connected");
      return publisher;
    } catch (error) {
      await publisher.close();
      throw error;
    }
  }

  /** Publishes, and resolves when the last answer is there. One phase at a time. */
  async run(phase: Phase): Promise<PublishReport> {
    this.#say({ kind: "run", phase });
    const { report } = await this.#next("report");
    return report;
  }

  /** Lets the phase end now. */
  stop(): void {
    this.#say({ kind: "stop" });
  }

  /** Ends the thread and its connections. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #say(message: ToPublisher): void {
    this.#worker.postMessage(message);
  }

  async #next<K extends FromPublisher["kind"]>(kind: K): Promise<FromPublisher & { kind: K }> {
    const [message] = (await once(this.#worker, "message")) as [FromPublisher];
    if (message.kind === "failed") throw new Error(message.message);
    if (message.kind !== kind) throw new Error(`a publisher said ${message.kind} instead of ${kind}`);
    return message as FromPublisher & { kind: K };
  }
}
