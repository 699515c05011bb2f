import { connect, type Socket } from "node:net";
import { AnswerReader } from "./answer-reader.ts";
import { nowNs } from "./clock.ts";
import { Shot, type ShotPlan } from "./shot.ts";

/** What all connections of a publisher read into: nothing of it is needed when the next one reads. */
const readBuffer = Buffer.allocUnsafe(64 * 1024);

/** Told what becomes of the requests of a connection. */
export interface PublisherEvents {
  /** One was answered. */
  answered(answer: Answer): void;
  /** The connection ended before so many requests were answered. */
  failed(requests: number, error: Error): void;
  /** All are answered or failed: there may be new ones. */
  free(connection: PublisherConnection): void;
}

/** An answer to a request. */
export interface Answer {
  readonly status: number;
  /** From when the request was sent, or should have been, in ns. */
  readonly latencyNs: number;
  /** Index of the user or topic of its first message. */
  readonly index: number;
  /** What it says; empty unless the request was a batch. */
  readonly body: string;
}

/** A keep-alive connection that has one shot under way at most. */
export class PublisherConnection {
  readonly #plan: ShotPlan;
  readonly #events: PublisherEvents;
  readonly #shot: Shot;
  #socket: Socket | undefined;
  #sentNs = 0;
  #index = 0;
  #waiting = 0;

  constructor(plan: ShotPlan, events: PublisherEvents) {
    this.#plan = plan;
    this.#events = events;
    this.#shot = new Shot(plan);
  }

  /** Requests that are not answered. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Connects; rejects when that fails. */
  async connect(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = this.#open();
    socket.once("connect", resolve);
    socket.once("close", () => reject(socket.errored ?? new Error("the server closed the connection of a publisher")));
    await promise;
  }

  /**
   * Sends the shot; only when nothing waits. Where the server has closed the connection meanwhile a new one is made.
   *
   * @param sentNs when it is sent, or should have been
   */
  fire(sentNs: number, number: number, index: number): void {
    const socket = this.#socket ?? this.#open();
    this.#sentNs = sentNs;
    this.#index = index;
    this.#waiting = this.#plan.burst;
    this.#shot.stamp(sentNs, number, index);
    // The bytes may be written later, but before they are answered, and so before they change.
    socket.write(this.#shot.bytes);
  }

  /** Ends it; what waits has failed, for the reason given. */
  close(reason?: Error): void {
    this.#socket?.destroy(reason);
  }

  #open(): Socket {
    const { address: host, port } = this.#plan.endpoint;
    const reader = new AnswerReader((status, bytes, from, to) => this.#answered(status, bytes, from, to));
    const onread = {
      buffer: readBuffer,
      callback: (length: number): boolean => {
        try {
          reader.read(readBuffer.subarray(0, length));
        } catch (error) {
          socket.destroy(error as Error);
        }
        return true;
      },
    };
    const socket: Socket = connect({ host, port, noDelay: true, onread });
    socket.on("error", () => {});
    socket.on("close", () => this.#closed(socket));
    this.#socket = socket;
    return socket;
  }

  #answered(status: number, bytes: Buffer, from: number, to: number): void {
    if (this.#waiting === 0) return;
    const index = this.#index + (this.#plan.burst - this.#waiting) * this.#plan.batch;
    const body = this.#plan.batch > 1 ? bytes.toString("utf8", from, to) : "";
    this.#waiting--;
    this.#events.answered({ status, latencyNs: nowNs() - this.#sentNs, index, body });
    if (this.#waiting === 0) this.#events.free(this);
  }

  #closed(socket: Socket): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    const requests = this.#waiting;
    if (requests === 0) return;
    this.#waiting = 0;
    this.#events.failed(requests, socket.errored ?? new Error("the server closed the connection of a publisher"));
    this.#events.free(this);
  }
}
