import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/**
 * Knows whose turn it is on a connection. Whoever sends requests without waiting for the answers gets them in order from
 * Node, but what is written to the bare socket would come before answers that are still being made.
 */
export class Turns {
  readonly #newest = new WeakMap<Duplex, ServerResponse>();

  /** A request begins to be served. */
  begin({ socket }: IncomingMessage, response: ServerResponse): void {
    this.#newest.set(socket, response);
  }

  /** Whether a request that came whole is not answered yet. */
  areTaken(socket: Duplex): boolean {
    const response = this.#newest.get(socket);
    return response?.req.complete === true && !response.writableFinished;
  }
}
