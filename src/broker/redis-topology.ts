import type { Log } from "../log.ts";
import { newEpoch } from "../protocol/positions.ts";
import { parseRedisUrl, redisUrlForms } from "../redis-url.ts";
import type { PendingQuestions } from "./pending-questions.ts";
import { createRedisClient, publishCommandOf } from "./redis-client.ts";
import { RedisCluster } from "./redis-cluster.ts";
import { RedisNode } from "./redis-node.ts";
import { type RedisNodes, SingleRedis } from "./redis-nodes.ts";

/** Which servers there are, and what is asked of them. */
export interface RedisTopologyOptions {
  /** See {@link parseRedisUrl}. */
  readonly redisUrl: string;
  /** What every key and channel begins with. */
  readonly redisPrefix: string;
  /** Replicas of Redis that must have a message before it is delivered and acknowledged; 0: none. */
  readonly redisWaitReplicas: number;
  readonly log: Log;
}

/**
 * Makes the nodes that a URL speaks of; they are not connected yet.
 *
 * @param questions told of the answers that come in
 * @param onMalformed told of what could not be read
 * @throws Error when the URL is none
 */
export function createRedisNodes(
  options: RedisTopologyOptions,
  questions: PendingQuestions,
  onMalformed: () => void,
): RedisNodes {
  const { redisUrl, redisPrefix, redisWaitReplicas, log } = options;
  const target = parseRedisUrl(redisUrl);
  if (!target) throw new Error(`redisUrl ${redisUrlForms}`);
  const replyChannel = `${redisPrefix}:replica:${newEpoch()}`;
  const isLed = target.kind === "sentinel";
  const publishCommand = publishCommandOf(target);
  const node = { publishCommand, waitReplicas: redisWaitReplicas, isLed, questions, log, onMalformed };
  if (target.kind !== "cluster") {
    return new SingleRedis(
      new RedisNode({ ...node, connect: (name) => createRedisClient(target, name), replyChannel, name: "" }),
    );
  }
  return new RedisCluster({
    seeds: target.hosts,
    replyChannel,
    connect: (name, host) => createRedisClient(target, name, host),
    createNode: (host, channel) => {
      const connect = (name: string) => createRedisClient(target, name, host);
      return new RedisNode({ ...node, connect, replyChannel: channel, name: `${host.host}:${host.port}` });
    },
    log,
  });
}
