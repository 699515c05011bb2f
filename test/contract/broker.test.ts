import { inject } from "vitest";
import { MemoryBroker } from "../../src/broker/memory-broker.ts";
import { RedisBroker } from "../../src/broker/redis-broker.ts";
import { createLog } from "../../src/log.ts";
import { uniquePrefix } from "../support/service.ts";
import { describeBroker } from "./describe-broker.ts";

describeBroker("MemoryBroker", (history) => {
  const broker = new MemoryBroker({ memoryHistoryBytes: 1 << 24, ...history });
  return () => broker;
});

describeBroker("RedisBroker", (history) => {
  const redisPrefix = uniquePrefix();
  const log = createLog("silent");
  return () => new RedisBroker({ redisUrl: inject("redisUrl"), redisWaitReplicas: 0, redisPrefix, log, ...history });
});
