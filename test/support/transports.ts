import type { Ending, Frame } from "./frame-queue.ts";
import { SseClient } from "./sse-client.ts";
import { refusedUpgrade, TestClient } from "./test-client.ts";

/** What a client says when it connects. */
interface Connect {
  /** User id or token; undefined: none. */
  readonly flag?: string | undefined;
  /** Ids to resume from. */
  readonly since?: readonly string[];
  /** Query of the URL. */
  readonly query?: string;
  readonly origin?: string | undefined;
}

/** A client that is connected, whatever the transport. */
export type Connected = (TestClient | SseClient) & { readonly welcome: Frame };

/** A way to connect, as tests use it. */
export interface TestTransport {
  readonly name: "ws" | "sse";
  /** Connects and takes the welcome frame. */
  welcomed(port: number, connect: Connect): Promise<Connected>;
  /** Connects without waiting for a frame. */
  open(port: number, connect: Connect): Promise<TestClient | SseClient>;
  /** Connects and must be refused in plain HTTP. */
  refused(port: number, connect: Connect): Promise<{ status: number; headers: Record<string, unknown>; body: string }>;
  /** Connects with credentials that are not valid, and resolves with how it is told so. */
  turnedAway(port: number, flag: string): Promise<Ending>;
}

function upgradeOptions({ since, query, origin }: Connect) {
  const asked = query ?? since?.map((id) => `since=${id}`).join("&");
  return { path: asked === undefined ? "/ws" : `/ws?${asked}`, ...(origin !== undefined && { origin }) };
}

const ws: TestTransport = {
  name: "ws",
  welcomed: (port, connect) => TestClient.welcomed(port, connect.flag ?? [], upgradeOptions(connect)),
  open: (port, connect) => TestClient.open(port, connect.flag ?? [], upgradeOptions(connect)),
  refused: (port, connect) => refusedUpgrade(port, connect.flag ?? [], upgradeOptions(connect)),
  turnedAway: async (port, flag) => {
    const client = await TestClient.open(port, ["belfry.v1", flag]);
    const ending = await client.closed;
    if (client.queue.length > 0) throw new Error(`it was sent ${client.queue[0]}`);
    return ending;
  },
};

function streamOptions({ since, query, origin }: Connect) {
  const headers = {
    ...(since && { "last-event-id": since.join(",") }),
    ...(origin !== undefined && { origin }),
  };
  return { path: query === undefined ? "/sse" : `/sse?${query}`, headers };
}

const sse: TestTransport = {
  name: "sse",
  welcomed: (port, connect) => SseClient.welcomed(port, connect.flag, streamOptions(connect)),
  open: (port, connect) => SseClient.open(port, connect.flag, streamOptions(connect)),
  refused: (port, connect) => SseClient.refused(port, connect.flag, streamOptions(connect)),
  // What a browser shows of a refused request is enough.
  turnedAway: async (port, flag) => {
    const { status, body } = await SseClient.refused(port, flag);
    return { code: status === 401 ? 4401 : status, reason: JSON.parse(body).detail };
  },
};

/** Both, for `describe.each`. */
export const transports: readonly TestTransport[] = [ws, sse];
