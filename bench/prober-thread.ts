import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { nowNs } from "../src/load/clock.ts";
import { Connection, type ConnectionPlan } from "../src/load/connection.ts";
import { Histogram } from "../src/load/histogram.ts";
import { Tally } from "../src/load/tally.ts";
import type { CrowdReport, Probing, PulseReport } from "./prober.ts";

/** Time between two questions of a kind, in ms. */
const healthEveryMs = 20;
const newcomerEveryMs = 50;

/** Longest wait for a crowd, in ms: a busy server may need minutes for it. */
const maxCrowdMs = 15_000;

const { connections, probing } = workerData as { connections: readonly ConnectionPlan[]; probing: Probing };
const tally = new Tally(101);
const agent = new Agent({ keepAlive: true });

async function crowd(count: number): Promise<CrowdReport> {
  const start = performance.now();
  let ready = 0;
  const coming = connections.slice(0, count).map(async (plan) => {
    await new Connection(plan, tally).ready;
    ready++;
  });
  await Promise.race([Promise.all(coming), pause(maxCrowdMs)]);
  return { ready, seconds: (performance.now() - start) / 1000 };
}

async function pulse(seconds: number): Promise<PulseReport> {
  const [health, newcomer] = [new Histogram(), new Histogram()];
  await Promise.all([
    steadily(healthEveryMs, seconds, health, askHealth),
    steadily(newcomerEveryMs, seconds, newcomer, connectOne),
  ]);
  return { health: health.percentiles(), newcomer: newcomer.percentiles() };
}

/** Asks at a steady pace, whatever the answers take, and waits for all of them. */
async function steadily(
  everyMs: number,
  seconds: number,
  latency: Histogram,
  ask: (index: number) => Promise<void>,
): Promise<void> {
  const startNs = nowNs();
  const asked: Promise<void>[] = [];
  for (let i = 0; i * everyMs < seconds * 1000; i++) {
    const dueNs = startNs + i * everyMs * 1e6;
    await pause(Math.max(0, (dueNs - nowNs()) / 1e6));
    asked.push(ask(i).then(() => latency.add(nowNs() - dueNs)));
  }
  await Promise.all(asked);
}

async function connectOne(index: number): Promise<void> {
  const plan = connections[index % connections.length];
  if (!plan) return;
  const connection = new Connection(plan, tally);
  await connection.ready;
  connection.leave();
}

function askHealth(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const { address: host, port } = connections[0]?.endpoint ?? { address: "", port: 0 };
  request({ agent, host, port, path: "/healthz" }, (response) => {
    response.resume();
    response.on("end", resolve);
  })
    .on("error", reject)
    .end();
  return promise;
}

parentPort?.postMessage(probing.kind === "crowd" ? await crowd(probing.count) : await pulse(probing.seconds));
