import { setTimeout as pause } from "node:timers/promises";
import { Load } from "../../src/load/load.ts";
import { nameOf } from "../../src/load/shot.ts";
import { deliveries, p50, p99 } from "../columns.ts";
import { belfryContestant, namePrefix, type Subject } from "../contestants.ts";
import { failuresOf, measurePhase, planOf, warmUpSeconds } from "../measure.ts";
import type { Workload } from "../workload.ts";

/** Connections, whatever the number of topics, and subscribers of each topic. */
const connectionCount = 10_000;
const subscribers = 10;

/** What a server has to become quiet before its memory is looked at, in ms. */
const quietMs = 2000;

// The subscriptions of a client come all at once.
const limits = { MAX_CLIENT_FRAMES_PER_SECOND: "1000000", MAX_SUBSCRIPTIONS: "1000" };

/** Belfry, once for each number of topics of a connection. */
const contestants = [1, 10, 100].map((perConnection) => {
  const topics = (connectionCount / subscribers) * perConnection;
  return { ...belfryContestant(`Belfry, ${topics.toLocaleString("en")} topics`, limits), perConnection };
});

async function residentWhenQuiet(subject: Subject): Promise<number> {
  await pause(quietMs);
  return subject.residentBytes();
}

/**
 * Messages to the next of 1,000 to 100,000 topics with 10 subscribers each, always over the same 10,000 connections: what a
 * message costs must not depend on how many topics there are, nor on how many a connection has. First one connection of each
 * topic subscribes, then the nine others, so that the memory of a topic and that of a subscription can be told apart.
 */
export const topicsWorkload: Workload = {
  name: "topics",
  title: "Messages to topics of 10 subscribers each, 16 publishers, 10,000 connections",
  about: "POST /topics/:topic/messages, each to the next topic; up to a million subscriptions.",
  columns: [
    deliveries,
    { key: "cpu", title: "CPU per message", unit: "µs", better: "lower" },
    p50,
    p99,
    { key: "topicMemory", title: "memory per topic", unit: "KB", better: "lower" },
    { key: "memory", title: "memory per subscription", unit: "KB", better: "lower" },
    { key: "subscribes", title: "subscriptions/s", unit: "", better: "higher" },
  ],
  contestants,
  run: async (subject, scale, contestant) => {
    const perConnection = contestants.find((one) => one === contestant)?.perConnection ?? 1;
    const connections = scale.connections(connectionCount);
    const groups = connections / subscribers;
    const topics = groups * perConnection;
    // Those of one group are subscribed to the same topics.
    const heardBy = (index: number) => Array.from({ length: perConnection }, (_, n) => (index % groups) + n * groups);
    const subscribe = (topic: number) => JSON.stringify({ type: "subscribe", topic: nameOf(namePrefix, topic) });
    const shape = { connections, publishers: 16, to: "topic", names: topics, heardBy, sampleEvery: 11 } as const;
    const load = await Load.open(planOf(subject, shape));
    try {
      const idle = await residentWhenQuiet(subject);
      const start = performance.now();
      const frames = (index: number) => heardBy(index).map(subscribe);
      await load.audience.ask(frames, 0, groups);
      const begun = performance.now() - start;
      const first = await residentWhenQuiet(subject);
      const goOn = performance.now();
      await load.audience.ask(frames, groups, connections);
      const seconds = (begun + performance.now() - goOn) / 1000;
      const memory = ((await residentWhenQuiet(subject)) - first) / (topics * (subscribers - 1));
      await load.run({ seconds: scale.seconds(warmUpSeconds) });
      const { report, cpuSeconds } = await measurePhase(subject, load, { seconds: scale.seconds(4) });
      const values = {
        deliveries: report.deliveriesPerSecond,
        cpu: (cpuSeconds * 1e6) / report.accepted,
        p50: report.latency.p50 / 1e6,
        p99: report.latency.p99 / 1e6,
        topicMemory: ((first - idle) / topics - memory) / 1024,
        memory: memory / 1024,
        subscribes: (topics * subscribers) / seconds,
      };
      return { values, ...failuresOf(report) };
    } finally {
      await load.close();
    }
  },
};
