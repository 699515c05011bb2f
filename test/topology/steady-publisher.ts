import { setTimeout as pause } from "node:timers/promises";
import type { Service } from "../support/service.ts";

/** Pause after an answer, in ms. */
const pauseMs = 10;

/** Publishes to one path message after message, each under a key until it is answered 202, at each replica in turn. */
export class SteadyPublisher {
  /** Ids of the messages, in the order in which they were answered. */
  readonly ids: string[] = [];
  /** Answers other than 202, as `503 1` (status and Retry-After). */
  readonly refusals: string[] = [];
  /** Longest time until an answer, in ms. */
  slowestMs = 0;
  readonly #path: string;
  readonly #services: readonly Pick<Service, "call">[];
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(path: string, services: readonly Pick<Service, "call">[]) {
    this.#path = path;
    this.#services = services;
    this.#done = this.#run();
  }

  /** Resolves when the message that is under way has been answered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    for (let n = 0, turn = 0; !this.#stopped; n++) {
      for (let isDone = false; !isDone; turn++) {
        const service = this.#services[turn % this.#services.length];
        if (!service) throw new Error("nobody to publish to");
        const start = performance.now();
        const headers = { "idempotency-key": `n${n}` };
        const { status, headers: answer, json } = await service.call("POST", this.#path, { data: { n } }, headers);
        this.slowestMs = Math.max(this.slowestMs, performance.now() - start);
        isDone = status === 202;
        if (isDone) this.ids.push(json.id);
        else this.refusals.push(`${status} ${answer.get("retry-after")}`);
        await pause(pauseMs);
      }
    }
  }
}
