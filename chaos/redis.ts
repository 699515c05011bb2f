import type { NetConnectOpts } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { ClusterRedis } from "./redis-cluster.ts";
import type { BringBack, ReplicatedRedis } from "./redis-replicated.ts";
import { SentinelRedis } from "./redis-sentinel.ts";
import { StandaloneRedis } from "./redis-standalone.ts";
import { type Fault, type RedisFault, redisReplicas, type Topology } from "./schedule.ts";

/** The Redis of a run, as replicas and faults meet it. */
export interface RedisWorld {
  /**
   * Where the proxies lead that stand between the replicas and it; undefined where none can: sentinels and nodes of a
   * cluster tell the replicas addresses of their own.
   */
  readonly linkTarget: NetConnectOpts | undefined;
  /** Settings by which a replica finds it. @param linkPort the port of the replica's proxy, if there is one */
  settings(linkPort: number | undefined): Readonly<Record<string, string>>;
  /** What can be inflicted on it. Each resolves when it is over, and Redis is whole again. */
  readonly faults: Readonly<Partial<Record<RedisFault, (fault: Fault) => Promise<void>>>>;
  /** Ends it and removes what it wrote. */
  close(): Promise<void>;
}

/**
 * Starts a Redis of its own for a run.
 *
 * @param waitReplicas replicas of Redis that must have a message before it is answered 202; standalone there are none
 */
export async function startRedis(topology: Topology, waitReplicas: number): Promise<RedisWorld> {
  if (topology === "standalone") return standaloneWorld(await StandaloneRedis.start());
  const replicas = redisReplicas[topology];
  if (topology === "sentinel") return sentinelWorld(await SentinelRedis.start({ replicas }), waitReplicas);
  return clusterWorld(await ClusterRedis.start({ replicasPerMaster: replicas }), waitReplicas);
}

function standaloneWorld(redis: StandaloneRedis): RedisWorld {
  return {
    linkTarget: { path: redis.path },
    settings: (linkPort) => ({ REDIS_URL: `redis://127.0.0.1:${linkPort}` }),
    faults: {
      "redis-kill-pubsub": () => redis.killClients("pubsub"),
      "redis-kill-normal": () => redis.killClients("normal"),
      "redis-stop": ({ forMs }) => redis.freeze(forMs),
      "redis-restart": ({ forMs }) => redis.restart("SIGTERM", forMs / 4),
      "redis-crash": ({ forMs }) => redis.restart("SIGKILL", forMs / 4),
      "redis-flush": () => redis.flush(),
    },
    close: () => redis.close(),
  };
}

function sentinelWorld(redis: SentinelRedis, waitReplicas: number): RedisWorld {
  return {
    ...replicatedWorld(redis, waitReplicas),
    faults: {
      "sentinel-failover": () => redis.failover(),
      "master-kill": ({ forMs }) => takeAway(redis.killMaster(), forMs / 2),
      "master-stop": ({ forMs }) => takeAway(redis.stopMaster(), forMs / 2),
    },
  };
}

function clusterWorld(redis: ClusterRedis, waitReplicas: number): RedisWorld {
  const shardOf = ({ index }: Fault) => index % redis.shardCount;
  return {
    ...replicatedWorld(redis, waitReplicas),
    faults: {
      "cluster-failover": (fault) => redis.failover(shardOf(fault)),
      "master-kill": (fault) => takeAway(redis.killMaster(shardOf(fault)), fault.forMs / 2),
      "master-stop": (fault) => takeAway(redis.stopMaster(shardOf(fault)), fault.forMs / 2),
    },
  };
}

function replicatedWorld(redis: ReplicatedRedis, waitReplicas: number): Omit<RedisWorld, "faults"> {
  return {
    linkTarget: undefined,
    settings: () => ({ REDIS_URL: redis.url, REDIS_WAIT_REPLICAS: String(waitReplicas) }),
    close: () => redis.close(),
  };
}

/** Brings back, some time after another server has taken over. */
async function takeAway(taken: Promise<BringBack>, awayMs: number): Promise<void> {
  const bringBack = await taken;
  await pause(awayMs);
  await bringBack();
}
