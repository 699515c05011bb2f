import { setTimeout as pause } from "node:timers/promises";
import { Audience } from "../../src/load/audience.ts";
import { contestants, type Subject } from "../contestants.ts";
import type { Workload } from "../workload.ts";

/** Connections that come and go before it counts, and what a server has afterwards to become quiet, in ms. */
const warmUpConnections = 500;
const quietMs = 1000;

function audienceOf(subject: Subject, connections: number): Audience {
  const connection = (index: number) => ({ ...subject.connection(index), compression: false });
  return new Audience({ connections, connection, sampleEvery: 101 });
}

/**
 * 10,000 connections of 10,000 users that do nothing: what each costs in memory, as resident memory after minus before, and
 * how fast they are taken when nothing else is going on. The load makes at most 128 handshakes at once.
 */
export const idleWorkload: Workload = {
  name: "W3",
  title: "10,000 idle connections",
  about: "Resident memory after minus before, over the connections; and handshakes a second, 128 at once.",
  columns: [
    { key: "memory", title: "memory per connection", unit: "KB", better: "lower" },
    { key: "accepts", title: "connections/s", unit: "", better: "higher" },
    { key: "base", title: "memory before", unit: "MB", better: "lower" },
  ],
  contestants: [contestants.belfry, contestants.naive, contestants.socketIo, contestants.uws],
  run: async (subject, scale) => {
    const count = scale.connections(10_000);
    const first = audienceOf(subject, scale.connections(warmUpConnections));
    await first.open();
    first.close();
    await pause(quietMs);
    const before = subject.residentBytes();
    const audience = audienceOf(subject, count);
    try {
      const start = performance.now();
      await audience.open();
      const seconds = (performance.now() - start) / 1000;
      await pause(quietMs);
      const memory = (subject.residentBytes() - before) / count / 1024;
      const closed = Object.values(audience.closes).reduce((sum, closes) => sum + closes, 0);
      return { values: { memory, accepts: count / seconds, base: before / 2 ** 20 }, lost: closed, refused: 0 };
    } finally {
      audience.close();
    }
  },
};
