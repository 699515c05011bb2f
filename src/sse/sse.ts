import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { bearerToken } from "../auth/bearer.ts";
import type { Credentials } from "../credentials.ts";
import type { Arrival, Entrance } from "../entrance.ts";
import { BelfryError, toBelfryError } from "../errors.ts";
import type { Admission } from "../hub/admission.ts";
import type { Hub } from "../hub/hub.ts";
import type { PostedFrame } from "../hub/questions.ts";
import type { Position } from "../protocol/positions.ts";
import { isName, maxNameLength } from "../protocol/user-ids.ts";
import { SseConnection, type SseContext } from "./connection.ts";
import { splitId } from "./event.ts";
import { userOfSecret } from "./secret.ts";

/** Settings of {@link Sse}. */
export interface SseOptions {
  readonly hub: Pick<Hub, "register" | "postFrame" | "userTopics">;
  readonly entrance: Entrance;
  readonly remoteAddress: (request: IncomingMessage) => string;
  readonly context: Omit<SseContext, "onClosed">;
  readonly onOpen: (connection: SseConnection) => void;
  /** Subscribes a registered connection to topics; true when it is subscribed to all of them. Never rejects. */
  readonly onTopics: (
    connection: SseConnection,
    topics: readonly string[],
    positions: readonly Position[],
  ) => Promise<boolean>;
  readonly onRefused: (error: BelfryError) => void;
}

/** Path of the endpoint; that of a connection stands below it. */
export const ssePath = "/sse";

/** Frames on their way to other replicas at a time; each may wait for a second. */
const maxForwarded = 1000;

const streamHeaders = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-store, no-transform",
  // Proxies pass each event on as it comes: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
  "X-Accel-Buffering": "no",
  "X-Content-Type-Options": "nosniff",
  // Nothing comes behind a stream, and whoever drains need not wait for the next request.
  Connection: "close",
};

/**
 * Server-Sent Events: streams for clients whose network lets no WebSocket through, and the frames that these send by
 * requests of their own.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export class Sse {
  readonly #options: SseOptions;
  readonly #context: SseContext;
  readonly #connections = new Map<string, SseConnection>();
  #forwarded = 0;

  constructor(options: SseOptions) {
    this.#options = options;
    const { context, entrance } = options;
    this.#context = {
      ...context,
      onGone: (connection, cause) => {
        this.#connections.delete(connection.id);
        context.onGone(connection, cause);
      },
      onClosed: (connection) => entrance.leave(connection),
    };
  }

  /** Connections registered here. */
  get size(): number {
    return this.#connections.size;
  }

  /**
   * Takes a request for a stream: when this resolves the response is one.
   *
   * @throws BelfryError as {@link Entrance.enter} does; nothing was written then
   */
  async open(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (Number(request.headers["content-length"] ?? 0) > 0 || request.headers["transfer-encoding"] !== undefined) {
        // What is not read of it would hide that the client has gone.
        throw new BelfryError("malformed", "a stream is asked for without a body");
      }
      const topics = topicsOf(request);
      await this.#options.entrance.enter(arrivalOf(request), (credentials, admission) => {
        const { socket } = response;
        // Behind an answer that is not through it would begin some time, or never.
        if (!socket) throw new BelfryError("malformed", "a stream needs a connection that no answer is awaited on");
        if (socket.destroyed) throw new BelfryError("malformed", "the client has gone");
        const connection = this.#register(
          this.#options.remoteAddress(request),
          response,
          socket,
          credentials,
          admission,
        );
        void this.#subscribe(connection, topics, admission.topics);
        return true;
      });
    } catch (thrown) {
      const error = toBelfryError(thrown);
      this.#options.onRefused(error);
      throw error;
    }
  }

  /**
   * Takes a frame that a client sends by a request, or brings it to the replica that holds the connection.
   *
   * @throws BelfryError `forbidden` for its origin; `not_found`, `too_many`, `unavailable`
   */
  async post(connection: string, { headers }: IncomingMessage, frame: string): Promise<void> {
    this.#options.entrance.checkOrigin(headers.origin);
    const secret = bearerToken(headers.authorization) ?? "";
    const posted = { connection, secret, frame };
    const waitMs = this.take(posted) ?? (await this.#forward(posted));
    // Whether the connection or its secret is wrong is nobody's business.
    if (waitMs === undefined) throw new BelfryError("not_found", "there is no such connection with this secret");
    if (waitMs === 0) return;
    const { maxClientFramesPerSecond } = this.#context;
    throw new BelfryError("too_many", `more than ${maxClientFramesPerSecond} frames a second`, {
      retryAfterSeconds: Math.ceil(waitMs / 1000),
    });
  }

  /**
   * Takes a frame for a connection of this replica.
   *
   * @returns as {@link SseConnection.receive} does; undefined when it is not here, or the secret is another's
   */
  take({ connection, secret, frame }: PostedFrame): number | undefined {
    const found = this.#connections.get(connection);
    return found?.hasSecret(secret) ? found.receive(frame) : undefined;
  }

  /** Headers that let a page of another origin read an answer, where it may. */
  corsHeaders(origin: string | undefined): Record<string, string> {
    const vary = { Vary: "Origin" };
    if (origin === undefined || !this.#options.entrance.isOriginAllowed(origin)) return vary;
    return {
      ...vary,
      "Access-Control-Allow-Origin": origin,
      "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
    };
  }

  /** @returns as {@link take} does */
  async #forward(posted: PostedFrame): Promise<number | undefined> {
    const user = userOfSecret(posted.secret);
    if (user === undefined) return undefined;
    if (this.#forwarded >= maxForwarded) {
      throw new BelfryError("unavailable", "too many frames are on their way to other replicas", {
        retryAfterSeconds: 1,
      });
    }
    this.#forwarded++;
    try {
      return await this.#options.hub.postFrame(user, posted);
    } finally {
      this.#forwarded--;
    }
  }

  /** Apart from where the request is in reach. */
  #register(
    remote: string,
    response: ServerResponse,
    socket: Socket,
    credentials: Credentials,
    admission: Admission,
  ): SseConnection {
    const { hub, entrance, onOpen } = this.#options;
    response.writeHead(200, streamHeaders);
    const connection = new SseConnection(response, socket, credentials, remote, this.#context);
    connection.carry(admission.topics);
    entrance.occupy(connection);
    this.#connections.set(connection.id, connection);
    // Before it is registered: in there it may be turned away, or closed by a listener.
    onOpen(connection);
    hub.register(connection, admission);
    return connection;
  }

  async #subscribe(connection: SseConnection, topics: readonly string[], positions: readonly Position[]) {
    const { hub, onTopics } = this.#options;
    const isSubscribed = await onTopics(connection, topics, positions);
    if (positions.length === 0) return;
    // Its user may be subscribed to others.
    await hub.userTopics.apply(connection);
    if (isSubscribed) connection.settle();
  }
}

/** The topics that the client is subscribed to from the first moment on. */
function topicsOf({ url = "" }: IncomingMessage): string[] {
  const topics = [...new Set(queryOf(url).getAll("topic"))];
  if (topics.every(isName)) return topics;
  throw new BelfryError("malformed", `a topic is not 1 to ${maxNameLength} characters`);
}

function queryOf(url: string): URLSearchParams {
  return new URLSearchParams(url.slice(url.indexOf("?") + 1 || url.length));
}

/** What the client says of itself. The id that it saw last is newer than what stands in its URL. */
function arrivalOf({ headers, url = "" }: IncomingMessage): Arrival {
  const lastEventId = headers["last-event-id"];
  const since = lastEventId ? splitId(String(lastEventId)) : queryOf(url).getAll("since");
  return {
    origin: headers.origin,
    presented: bearerToken(headers.authorization),
    query: new URLSearchParams(since.map((id): [string, string] => ["since", id])).toString(),
  };
}
