import { EventEmitter } from "node:events";
import type { Log } from "../log.ts";
import type { Client } from "./client.ts";

interface Events {
  /** A client was registered. */
  connect: [client: Client];
  /** A client was unregistered, whoever closed the connection. */
  disconnect: [client: Client];
}

/** What the service's own code is told of clients. */
export class ClientEvents extends EventEmitter<Events> {
  readonly #log: Log;

  constructor(log: Log) {
    super();
    this.#log = log;
  }

  /** Where a listener throws or rejects, neither the connection nor other listeners feel it. */
  protected announce(event: keyof Events, clientOf: () => Client): void {
    if (this.listenerCount(event) === 0) return;
    const client = clientOf();
    const failed = (error: unknown) => this.#log.error({ err: error, event }, "a listener failed");
    for (const listener of this.rawListeners(event)) {
      try {
        Promise.resolve(listener.call(this, client)).catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }
}
