import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { GenericContainer, getContainerRuntimeClient } from "testcontainers";
import type { TestProject } from "vitest/node";
import { freePort } from "./free-port.ts";
import { ensureRedisServer } from "./redis-server-setup.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

/** Image that the tests start where a container engine answers. */
const redisImage = "redis:8";

interface RunningRedis {
  readonly url: string;
  stop(): Promise<unknown>;
}

let running: Promise<RunningRedis> | undefined;
let users = 0;

/** Finds or brings the Redis that the tests share; every test uses a prefix of its own in it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  users++;
  running ??= find();
  const { url, stop } = await running;
  project.provide("redisUrl", url);
  return async () => {
    if (--users === 0) await stop();
  };
}

async function find(): Promise<RunningRedis> {
  const redis = given() ?? (await inContainer());
  if (redis) return redis;
  ensureRedisServer("Set TEST_REDIS_URL, start a container engine such as Docker, or");
  return asProcess();
}

function given(): RunningRedis | undefined {
  const url = process.env["TEST_REDIS_URL"];
  return url ? { url, stop: async () => {} } : undefined;
}

async function inContainer(): Promise<RunningRedis | undefined> {
  try {
    await getContainerRuntimeClient();
    const container = await new GenericContainer(redisImage).withExposedPorts(6379).start();
    const url = `redis://${container.getHost()}:${container.getMappedPort(6379)}`;
    return { url, stop: () => container.stop() };
  } catch (error) {
    console.log(`tests: no Redis from a container (${error instanceof Error ? error.message : error})`);
    return undefined;
  }
}

async function asProcess(): Promise<RunningRedis> {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), "belfry-redis-"));
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir];
  const child = spawn("redis-server", options, { stdio: "ignore" });
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  client.on("error", () => {});
  await client.ping();
  client.disconnect();
  const stop = async () => {
    child.kill();
    if (child.exitCode === null) await once(child, "exit");
    await rm(dir, { recursive: true });
  };
  return { url, stop };
}
