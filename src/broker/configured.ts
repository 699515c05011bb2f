import type { Config } from "../config.ts";
import type { Broker } from "./broker.ts";
import { MemoryBroker } from "./memory-broker.ts";
import { RedisBroker, type RedisBrokerOptions } from "./redis-broker.ts";

/** Makes the broker that REDIS_URL asks for: of many replicas, or of this process alone. */
export function brokerOf(
  config: Config,
  observer: Pick<RedisBrokerOptions, "log" | "onOperation" | "onMalformed">,
): Broker {
  const { redisUrl } = config;
  return redisUrl === undefined ? new MemoryBroker(config) : new RedisBroker({ ...config, redisUrl, ...observer });
}
