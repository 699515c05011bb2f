import type { Transport } from "./connection.ts";

/** What {@link Presence} asks the replicas; each goes to those subscribed to one stream. */
export type Question =
  /**
   * To a user's stream: which connections of the user do you hold? Answer: {@link ConnectionInfo}`[]`. A replica that holds
   * connections of the user, or is about to, says its name.
   */
  | { readonly kind: "connections"; readonly from?: string }
  /** To a user's stream: a newer connection takes the place of these. Answer: true. */
  | { readonly kind: "replace"; readonly connections: readonly string[] }
  /** To a user's stream: close the user's connections. Answer: how many there were. */
  | { readonly kind: "disconnect" }
  /** To a topic's stream: who listens? Answer: {@link TopicInfo}. */
  | { readonly kind: "topic" }
  /** To the broadcast stream, so to every replica: how much do you hold? Answer: {@link ReplicaStats}. */
  | { readonly kind: "stats" }
  /**
   * To a user's stream, or to the broadcast stream: a client has sent a frame by a request that came to another replica.
   * Answer: what the replica that holds the connection makes of it, see {@link HubOptions.onPostedFrame}; null from the others.
   */
  | ({ readonly kind: "frame" } & PostedFrame);

/** A frame of a client's that came by a request of its own. */
export interface PostedFrame {
  /** Id of the connection that it belongs to. */
  readonly connection: string;
  /** Shows that it is the client's of this connection. */
  readonly secret: string;
  /** JSON text. */
  readonly frame: string;
}

/** True for a question that this version knows; another version may ask others. */
export function isQuestion(question: unknown): question is Question {
  const kind = (question as { kind?: unknown } | null)?.kind;
  return ["connections", "replace", "disconnect", "topic", "stats", "frame"].includes(String(kind));
}

/** One connection, as the API shows it. */
export interface ConnectionInfo {
  readonly connection: string;
  /** Id of the replica that holds it. */
  readonly replica: string;
  readonly transport: Transport;
  /** When it was registered, in ms since the Unix epoch. */
  readonly connectedAt: number;
  /** The client's address. */
  readonly remote: string;
}

/** Who listens to a topic. */
export interface TopicInfo {
  /** Number of connections. */
  readonly subscribers: number;
  /** Whose they are, each user once; at most 10,000 of one replica. */
  readonly users: readonly string[];
}

/** What one replica holds. */
export interface ReplicaStats {
  readonly replica: string;
  readonly connections: number;
  /** Users with a connection to this replica. */
  readonly users: number;
  /** Topics with a subscriber on this replica. */
  readonly topics: number;
}
