import { Redis, ReplyError } from "ioredis";
import { claimScript, historyScript, positionScript, publishScript } from "./redis-scripts.ts";

export { ReplyError };

/** Longest wait for a Redis command, in ms. A publish must be answered within 3 s even when Redis hangs. */
const commandTimeoutMs = 2000;

/** An entry of a Redis stream: its id, and field names and values in turn. */
type RedisStreamEntry = [id: Buffer, fields: Buffer[]];

/** The scripts as ioredis adds them to its client: EVALSHA, and EVAL where Redis does not know the script yet. */
interface Scripts {
  belfryPublish(
    ...args: (string | number)[]
  ): Promise<[outcome: "new" | "replayed" | "conflict", source: string, number: number, receivers: number]>;
  belfryClaim(...args: (string | number)[]): Promise<string>;
  belfryPosition(...args: (string | number)[]): Promise<[epoch: string, offset: number]>;
  belfryHistoryBuffer(
    ...args: (string | number)[]
  ): Promise<[epoch: Buffer, last: number, lost: number, entries: RedisStreamEntry[]]>;
}

/** A connection to Redis that can call the scripts. */
export type RedisClient = Redis & Scripts;

/**
 * Makes a connection that is not connected yet. A command is never sent twice nor waits for a connection: both would break
 * "at most once" and the deadlines.
 *
 * @param name what `CLIENT LIST` shows
 */
export function createRedisClient(url: string, name: string): RedisClient {
  const client = new Redis(url, {
    connectionName: name,
    lazyConnect: true,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    // After a failover the node may be a replica now: connecting anew finds the master. The command is not sent again.
    reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
    connectTimeout: commandTimeoutMs,
    commandTimeout: commandTimeoutMs,
    socketTimeout: commandTimeoutMs + 500,
    retryStrategy: (attempt: number) => Math.min(50 * 2 ** attempt, 1000) * (0.5 + Math.random() / 2),
  });
  client.defineCommand("belfryPublish", { numberOfKeys: 4, lua: publishScript });
  client.defineCommand("belfryClaim", { numberOfKeys: 1, lua: claimScript });
  client.defineCommand("belfryPosition", { numberOfKeys: 2, lua: positionScript });
  client.defineCommand("belfryHistory", { numberOfKeys: 2, lua: historyScript });
  return client as RedisClient;
}
