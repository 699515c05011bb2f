import type { Broker } from "../broker/broker.ts";
import { BelfryError } from "../errors.ts";
import { broadcastStream, type Stream, topicStream, userStream } from "../protocol/streams.ts";
import type { Connection } from "./connection.ts";
import {
  type ConnectionInfo,
  isQuestion,
  type PostedFrame,
  type Question,
  type ReplicaStats,
  type TopicInfo,
} from "./questions.ts";

/** Most users of a topic that one replica tells. */
const maxTopicUsers = 10_000;

/** What presence needs to know of this replica. */
interface Here {
  readonly connectionsTo: (stream: Stream) => Connection[];
  readonly statsHere: () => Omit<ReplicaStats, "replica">;
  /** See {@link HubOptions.onPostedFrame}. */
  readonly takeFrame: (posted: PostedFrame) => number | undefined;
  /** Another replica has connections that listen to the stream. */
  readonly isElsewhere: (stream: Stream) => void;
}

/**
 * Who is connected and what to, over all replicas. Nobody keeps a table of it: the replicas are asked, and each answers from the
 * connections that it holds, so that nothing is left behind when one of them dies.
 */
export class Presence {
  readonly #broker: Pick<Broker, "ask">;
  readonly #replica: string;
  readonly #here: Here;

  /** @param replica name of this replica, unique among those that share the broker */
  constructor(broker: Pick<Broker, "ask">, replica: string, here: Here) {
    this.#broker = broker;
    this.#replica = replica;
    this.#here = here;
  }

  /** The connections of a user on all replicas. Rejects with `unavailable`. */
  async connectionsOf(user: string): Promise<ConnectionInfo[]> {
    const answers = await this.#ask<ConnectionInfo[]>(userStream(user), { kind: "connections" });
    return answers.flat();
  }

  /** The connections of a user on the other replicas, which learn that there are some here. Rejects with `unavailable`. */
  async connectionsElsewhere(user: string): Promise<ConnectionInfo[]> {
    const question: Question = { kind: "connections", from: this.#replica };
    const answers = await this.#ask<ConnectionInfo[]>(userStream(user), question);
    return answers.flat().filter(({ replica }) => replica !== this.#replica);
  }

  /** Closes connections of a user's, on whichever replica, since a newer one takes their place. Rejects with `unavailable`. */
  async replace(user: string, connections: readonly string[]): Promise<void> {
    await this.#ask(userStream(user), { kind: "replace", connections });
  }

  /** Closes the connections of a user on all replicas and says how many there were. Rejects with `unavailable`. */
  async disconnect(user: string): Promise<number> {
    const answers = await this.#ask<number>(userStream(user), { kind: "disconnect" });
    return answers.reduce((sum, closed) => sum + closed, 0);
  }

  /** The subscribers of a topic on all replicas. Rejects with `unavailable`. */
  async topic(topic: string): Promise<TopicInfo> {
    const answers = await this.#ask<TopicInfo>(topicStream(topic), { kind: "topic" });
    return {
      subscribers: answers.reduce((sum, { subscribers }) => sum + subscribers, 0),
      users: [...new Set(answers.flatMap(({ users }) => users))].toSorted(),
    };
  }

  /** What this replica holds. */
  statsHere(): ReplicaStats {
    return { replica: this.#replica, ...this.#here.statsHere() };
  }

  /** What each replica holds, this one included. Rejects with `unavailable`. */
  async stats(): Promise<ReplicaStats[]> {
    return this.#ask<ReplicaStats>(broadcastStream, { kind: "stats" });
  }

  /** Brings a frame to the replica that holds its connection; see {@link Hub.postFrame}. Rejects with `unavailable`. */
  async postFrame(user: string | null, { connection, secret, frame }: PostedFrame): Promise<number | undefined> {
    const stream = user === null ? broadcastStream : userStream(user);
    const question: Question = { kind: "frame", connection, secret, frame };
    // The one that holds the connection is enough.
    const { answers, replicas } = await this.#broker.ask(stream, question, { isLast: (answer) => answer !== null });
    const taken = (answers as (number | null)[]).find((answer) => answer !== null);
    if (taken === undefined && answers.length < replicas) {
      // Its client would take the connection for gone.
      throw new BelfryError("unavailable", "a replica that may hold the connection does not answer", {
        retryAfterSeconds: 1,
      });
    }
    return taken;
  }

  /** Answers a replica's question, this one's own among them; undefined when the question is not known. */
  answer(
    stream: Stream,
    question: unknown,
  ): ConnectionInfo[] | ReplicaStats | TopicInfo | number | true | null | undefined {
    if (!isQuestion(question)) return undefined;
    switch (question.kind) {
      case "stats":
        return this.statsHere();
      case "frame":
        return this.#here.takeFrame(question) ?? null;
      case "replace":
        for (const one of this.#here.connectionsTo(stream)) {
          if (question.connections.includes(one.id)) one.close("replaced");
        }
        return true;
      case "disconnect": {
        const connections = this.#here.connectionsTo(stream);
        for (const connection of connections) connection.close("forbidden");
        return connections.length;
      }
      case "topic": {
        const connections = this.#here.connectionsTo(stream);
        const users = new Set(connections.flatMap(({ user }) => user ?? []));
        return { subscribers: connections.length, users: [...users].slice(0, maxTopicUsers) };
      }
      case "connections":
        if (question.from !== undefined && question.from !== this.#replica) this.#here.isElsewhere(stream);
        return this.#here.connectionsTo(stream).map((connection) => this.#describe(connection));
    }
  }

  #describe({ id, transport, connectedAtMs, remote }: Connection): ConnectionInfo {
    return { connection: id, replica: this.#replica, transport, connectedAt: connectedAtMs, remote };
  }

  async #ask<Answer>(stream: Stream, question: Question): Promise<Answer[]> {
    return (await this.#broker.ask(stream, question)).answers as Answer[];
  }
}
