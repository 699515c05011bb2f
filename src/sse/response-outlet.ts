import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Outlet } from "../hub/outlet.ts";

/** The body of a response whose head is written, as what counts what waits in its socket. */
export class ResponseOutlet implements Outlet {
  readonly #response: ServerResponse;
  readonly #socket: Socket;

  constructor(response: ServerResponse, socket: Socket) {
    this.#response = response;
    this.#socket = socket;
  }

  get writable(): boolean {
    return this.#socket.writable;
  }

  get writableLength(): number {
    return this.#socket.writableLength;
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  write(bytes: Buffer, done?: (error: Error | null | undefined) => void): void {
    // An empty write asks when all before it is through; of a response that has lost its socket it would never be told.
    if (bytes.length === 0) {
      this.#socket.write(bytes, done);
      return;
    }
    // Node keeps what it makes a chunk of until the end of the turn, and it would count as waiting.
    this.#socket.cork();
    this.#response.write(bytes, done);
    this.#socket.uncork();
  }
}
