import { type ErrorFrame, type FrameRef, frameError } from "../protocol/frames.ts";
import type { Connection } from "./connection.ts";

/** A request on its way to the connections of a user, as it goes to the replicas that hold some. */
export interface RequestQuestion {
  readonly kind: "request";
  readonly id: string;
  readonly event?: string | undefined;
  /** The data as JSON text. */
  readonly json: string;
  /** How long a reply is waited for, in ms. */
  readonly timeoutMs: number;
}

/**
 * What a replica answers.
 *
 * - `reply`: one of its connections replied; it was the first here
 * - `offline`: it has no connection of the user's
 * - `gone`: those that it asked went away
 * - `full`: too many requests wait here
 */
export type RequestAnswer =
  | { readonly kind: "reply"; readonly connection: string; readonly json: string }
  | { readonly kind: "offline" | "gone" | "full" };

/** A request that was put to connections of this replica. */
interface Asked {
  readonly id: string;
  /** Those that may reply; once one has, that one. */
  connections: Set<Connection>;
  /** Set by the first reply here: what its frame was called by the client, if anything. */
  reply: { readonly ref: FrameRef | undefined } | undefined;
  readonly settle: (answer: RequestAnswer | undefined) => void;
  readonly timer: NodeJS.Timeout;
}

/** Requests that wait for replies of this replica's connections; more are refused. */
const defaultMaxAsked = 100_000;

/** The requests that were put to connections of this replica, until it is known who has replied first. */
export class AskedRequests {
  readonly #maxAsked: number;
  readonly #asked = new Map<string, Asked>();
  /** Of each connection, the requests that it was asked and that are not over. */
  readonly #byConnection = new Map<Connection, Set<Asked>>();

  /** @param maxAsked most requests at once; default: 100,000 */
  constructor(maxAsked: number = defaultMaxAsked) {
    this.#maxAsked = maxAsked;
  }

  /** Requests that are not over. */
  get size(): number {
    return this.#asked.size;
  }

  /** Connections that were asked something that is not over. */
  get connectionCount(): number {
    return this.#byConnection.size;
  }

  /**
   * Puts a request to connections, any of which may reply.
   *
   * @returns what to answer; the promise resolves with undefined when nobody here has replied before the request was over
   */
  ask(
    question: RequestQuestion,
    connections: readonly Connection[],
  ): RequestAnswer | Promise<RequestAnswer | undefined> {
    if (connections.length === 0) return { kind: "offline" };
    if (this.#asked.size >= this.#maxAsked) return { kind: "full" };
    const { id, event, json, timeoutMs } = question;
    const { promise, resolve } = Promise.withResolvers<RequestAnswer | undefined>();
    // Ends by itself where nobody says that it is over, since the replica that asks has died or Redis is away.
    const timer = setTimeout(() => this.#end(asked), timeoutMs);
    const asked: Asked = { id, connections: new Set(connections), reply: undefined, settle: resolve, timer };
    this.#asked.set(id, asked);
    for (const connection of connections) {
      const all = this.#byConnection.get(connection);
      if (all) all.add(asked);
      else this.#byConnection.set(connection, new Set([asked]));
    }
    for (const connection of connections) connection.send({ type: "request", id, event, json });
    return promise;
  }

  /**
   * Takes a connection's reply.
   *
   * @param json the data as JSON text
   * @returns what to answer when it does not count. Whether the request was ever there is not said
   */
  reply(connection: Connection, id: string, json: string, ref: FrameRef | undefined): ErrorFrame | undefined {
    const asked = this.#asked.get(id);
    if (!asked?.connections.has(connection) || asked.reply) return notOpen(ref);
    asked.reply = { ref };
    for (const other of asked.connections) if (other !== connection) this.#forget(other, asked);
    asked.connections = new Set([connection]);
    asked.settle({ kind: "reply", connection: connection.id, json });
    return undefined;
  }

  /**
   * The request is over. Where somebody here was the first of this replica, but not of all, it is told so now.
   *
   * @param winner id of the connection whose reply counts; undefined: none does
   */
  over(id: string, winner: string | undefined): void {
    const asked = this.#asked.get(id);
    if (!asked) return;
    const { reply, connections } = asked;
    this.#end(asked);
    for (const connection of connections) if (reply && connection.id !== winner) connection.send(notOpen(reply.ref));
  }

  /** A connection has gone: nothing is expected of it any more. */
  gone(connection: Connection): void {
    for (const asked of this.#byConnection.get(connection) ?? []) {
      asked.connections.delete(connection);
      if (asked.connections.size === 0) this.#end(asked, { kind: "gone" });
    }
    this.#byConnection.delete(connection);
  }

  /** Lets go of all requests. */
  close(): void {
    for (const asked of this.#asked.values()) this.#end(asked);
  }

  /** What was settled by a reply stays so. */
  #end(asked: Asked, answer?: RequestAnswer): void {
    clearTimeout(asked.timer);
    this.#asked.delete(asked.id);
    for (const connection of asked.connections) this.#forget(connection, asked);
    asked.settle(answer);
  }

  #forget(connection: Connection, asked: Asked): void {
    const all = this.#byConnection.get(connection);
    all?.delete(asked);
    if (all?.size === 0) this.#byConnection.delete(connection);
  }
}

function notOpen(ref: FrameRef | undefined): ErrorFrame {
  return frameError(
    "not_found",
    "the request was answered already, or its time is over, or it was not put to you",
    ref,
  );
}
