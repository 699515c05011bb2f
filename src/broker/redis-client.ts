import { Redis, type RedisOptions, ReplyError } from "ioredis";
import { endOfTurn } from "../end-of-turn.ts";
import { BelfryError } from "../errors.ts";
import type { RedisHost, RedisTarget } from "../redis-url.ts";
import {
  ackedScript,
  claimScript,
  historyScript,
  type PublishCommand,
  positionScript,
  probeScript,
  publishScript,
  releaseScript,
  remindScript,
  takeDueScript,
} from "./redis-scripts.ts";
import { addTopicScript, removeTopicScript } from "./redis-topic-scripts.ts";

export { ReplyError };

/** Longest wait for a Redis command, in ms. A publish must be answered within 3 s even when Redis hangs. */
const commandTimeoutMs = 2000;

/** An entry of a Redis stream: its id, and field names and values in turn. */
type RedisStreamEntry = [id: Buffer, fields: Buffer[]];

type Arguments = (string | number)[];

/** The scripts as ioredis adds them to its client: EVALSHA, and EVAL where Redis does not know the script yet. */
interface Scripts {
  belfryPublish(
    ...args: Arguments
  ): Promise<
    [outcome: "new" | "replayed" | "waiting" | "conflict" | "full", source: string, number: number, receivers: number]
  >;
  belfryRelease(...args: Arguments): Promise<number>;
  belfryProbe(...args: Arguments): Promise<number>;
  belfryClaim(...args: Arguments): Promise<string>;
  belfryAddTopic(...args: Arguments): Promise<0 | 1>;
  belfryRemoveTopic(...args: Arguments): Promise<1>;
  belfryRemind(...args: Arguments): Promise<0 | 1>;
  belfryTakeDue(...args: Arguments): Promise<string[]>;
  belfryPosition(...args: Arguments): Promise<[epoch: string, offset: number, ts: number, subscribers: number]>;
  belfryHistoryBuffer(
    ...args: Arguments
  ): Promise<[epoch: Buffer, last: number, lost: number, entries: RedisStreamEntry[], acked: Buffer]>;
  belfryAcked(...args: Arguments): Promise<void>;
}

/** A connection to Redis that can call the scripts. */
export type RedisClient = Redis & Scripts;

/**
 * Makes a connection that is not connected yet. A command is never sent twice nor waits for a connection: both would break
 * "at most once" and the deadlines.
 *
 * @param name what `CLIENT LIST` shows
 * @param node the node of a cluster to connect to; default: the server, or the master that the sentinels name
 */
export function createRedisClient(target: RedisTarget, name: string, node?: RedisHost): RedisClient {
  let left: Redis["stream"] | undefined;
  const client: Redis = new Redis({
    ...addressOf(target, node),
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password }),
    db: target.db,
    ...(target.tls ? { tls: {} } : {}),
    connectionName: name,
    lazyConnect: true,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    reconnectOnError: (error: Error): boolean => {
      // After a failover the node may be a replica now: connecting anew finds the master. The command is not sent again,
      // and all that were under way fail in the same way: the first is enough.
      const isFirst = error.message.includes("READONLY") && left !== client.stream;
      if (isFirst) left = client.stream;
      return isFirst;
    },
    connectTimeout: commandTimeoutMs,
    commandTimeout: commandTimeoutMs,
    socketTimeout: commandTimeoutMs + 500,
    retryStrategy: backoff,
  });
  const publish = publishCommandOf(target);
  client.defineCommand("belfryPublish", { numberOfKeys: 4, lua: publishScript(publish) });
  client.defineCommand("belfryRelease", { numberOfKeys: 4, lua: releaseScript(publish) });
  client.defineCommand("belfryProbe", { numberOfKeys: 1, lua: probeScript(publish) });
  client.defineCommand("belfryClaim", { numberOfKeys: 1, lua: claimScript });
  client.defineCommand("belfryAddTopic", { numberOfKeys: 1, lua: addTopicScript });
  client.defineCommand("belfryRemoveTopic", { numberOfKeys: 1, lua: removeTopicScript });
  client.defineCommand("belfryRemind", { numberOfKeys: 1, lua: remindScript });
  client.defineCommand("belfryTakeDue", { numberOfKeys: 1, lua: takeDueScript });
  client.defineCommand("belfryPosition", { numberOfKeys: 2, lua: positionScript(publish) });
  client.defineCommand("belfryHistory", { numberOfKeys: 2, lua: historyScript });
  client.defineCommand("belfryAcked", { numberOfKeys: 1, lua: ackedScript });
  writeTogether(client);
  return client as RedisClient;
}

/**
 * Writes the commands of one turn of the event loop at once: one system call here and one in Redis, which then also answers
 * them, and pushes what they publish, at once.
 */
function writeTogether(client: Redis): void {
  const send = client.sendCommand.bind(client);
  let corked: Redis["stream"] | undefined;
  const uncork = async (stream: Redis["stream"]) => {
    await endOfTurn();
    corked = undefined;
    stream.uncork();
  };
  client.sendCommand = (command, stream) => {
    if (client.stream !== corked) {
      corked = client.stream;
      corked?.cork();
      void uncork(corked);
    }
    return send(command, stream);
  };
}

/** A cluster has sharded pub/sub; elsewhere plain pub/sub does, which Redis 6.2 has too. */
export function publishCommandOf({ kind }: RedisTarget): PublishCommand {
  return kind === "cluster" ? "SPUBLISH" : "PUBLISH";
}

function addressOf(target: RedisTarget, node: RedisHost | undefined): Omit<RedisOptions, "replyMapping"> {
  if (target.kind !== "sentinel") return { ...(node ?? target.hosts[0]) };
  return {
    sentinels: target.hosts.map((host) => ({ ...host })),
    name: target.master,
    sentinelRetryStrategy: backoff,
    sentinelCommandTimeout: commandTimeoutMs,
    ...(target.sentinelUsername ? { sentinelUsername: target.sentinelUsername } : {}),
    ...(target.sentinelPassword ? { sentinelPassword: target.sentinelPassword } : {}),
    ...(target.tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
  };
}

/** Pause before the next try, in ms: longer each time up to a second, and never the same for all replicas. */
function backoff(attempt: number): number {
  return Math.round(Math.min(50 * 2 ** attempt, 1000) * (0.5 + Math.random() / 2));
}

/** Redis cannot do something now; the caller may try again. */
export function redisUnavailable(reason: string, cause?: unknown): BelfryError {
  return new BelfryError("unavailable", reason, { retryAfterSeconds: 1, cause });
}
