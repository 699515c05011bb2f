import { afterAll } from "vitest";
import { ClusterRedis } from "../../chaos/redis-cluster.ts";
import { SentinelRedis } from "../../chaos/redis-sentinel.ts";
import { RedisBroker } from "../../src/broker/redis-broker.ts";
import { createLog } from "../../src/log.ts";
import { describeBroker } from "../contract/describe-broker.ts";
import { uniquePrefix } from "../support/service.ts";

const [cluster, sentinel] = await Promise.all([
  ClusterRedis.start({ password: "p@ss:wörd/1" }),
  SentinelRedis.start({ password: "p@ss:wörd/1", sentinelPassword: "s entinel?&=" }),
]);
afterAll(() => Promise.all([cluster.close(), sentinel.close()]));

describeRedis("RedisBroker in a cluster", cluster.url, 0);
describeRedis("RedisBroker in a cluster, with replicas to wait for", cluster.url, 1);
describeRedis("RedisBroker behind sentinels", sentinel.url, 0);
describeRedis("RedisBroker behind sentinels, with replicas to wait for", sentinel.url, 2);

function describeRedis(name: string, redisUrl: string, redisWaitReplicas: number): void {
  const log = createLog((process.env["TEST_LOG"] ?? "silent") as "silent");
  describeBroker(name, (history) => {
    const redisPrefix = uniquePrefix();
    return () => new RedisBroker({ redisUrl, redisWaitReplicas, redisPrefix, log, ...history });
  });
}
