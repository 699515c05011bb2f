import { describe, expect, it } from "vitest";
import { defaultFaultsIn, type FaultKind, makeSchedule, type Topology, topologies } from "../../../chaos/schedule.ts";

const seeds = Array.from({ length: 50 }, (_, i) => i + 1);

const schedule = (seed: number, seconds: number, kinds: readonly FaultKind[]) =>
  makeSchedule({ seed, lengthMs: seconds * 1000, replicas: 3, kinds });
const defaults = (seed: number, topology: Topology, seconds: number) =>
  schedule(seed, seconds, defaultFaultsIn(topology));

const failovers: readonly FaultKind[] = ["sentinel-failover", "cluster-failover", "master-kill", "master-stop"];
const isFailover = ({ kind }: { kind: FaultKind }) => failovers.includes(kind);

describe("makeSchedule", () => {
  it.each(topologies)("repeats itself for a seed, and is another one for another (%s)", (topology) => {
    expect(defaults(11, topology, 60)).toEqual(defaults(11, topology, 60));
    expect(defaults(11, topology, 60)).not.toEqual(defaults(12, topology, 60));
  });

  it("keeps the schedules that were reported with their seed", () => {
    const faults = defaults(11, "standalone", 60);
    expect(faults).toHaveLength(122);
    expect(faults[0]).toEqual({ kind: "link-cut", atMs: 1500, forMs: 2744, index: 1, share: 0.43, bytes: 1076 });
  });

  it.each(topologies)("inflicts in time, in order and only what it was asked for (%s)", (topology) => {
    for (const seed of seeds) {
      const faults = defaults(seed, topology, 60);
      expect(faults.map(({ atMs }) => atMs)).toEqual(faults.map(({ atMs }) => atMs).toSorted((a, b) => a - b));
      for (const { kind, atMs, forMs, index } of faults) {
        expect(defaultFaultsIn(topology)).toContain(kind);
        expect(atMs + (failovers.includes(kind) ? 0 : forMs)).toBeLessThanOrEqual(60_000);
        expect([0, 1, 2]).toContain(index);
      }
    }
  });

  it.each(topologies)("inflicts every kind, sooner or later (%s)", (topology) => {
    const kinds = new Set(seeds.flatMap((seed) => defaults(seed, topology, 60).map(({ kind }) => kind)));
    expect(kinds).toEqual(new Set(defaultFaultsIn(topology)));
  });

  it.each(["sentinel", "cluster"] as const)(
    "gives every failover its time, and has several a minute (%s)",
    (topology) => {
      for (const seed of seeds) {
        const slow = defaults(seed, topology, 60).filter(isFailover);
        expect(slow.length).toBeGreaterThan(3);
        for (const [i, { atMs }] of slow.entries()) {
          const { kind, atMs: beforeMs } = slow[i - 1] ?? { kind: undefined, atMs: 0 };
          const takesMs = kind?.startsWith("master-") ? 10_000 : 1000;
          if (kind) expect(atMs - beforeMs).toBeGreaterThan(takesMs);
        }
      }
    },
  );

  it("does not put off the end for a failover, unless it is the only one", () => {
    expect(schedule(1, 5, ["master-kill"])).toHaveLength(1);
    for (const seed of seeds) {
      const slow = schedule(seed, 30, ["master-kill", "master-stop"]);
      expect(slow.length).toBe(2);
      expect(slow.at(-1)?.atMs).toBeLessThanOrEqual(20_000);
    }
  });

  it("is empty without faults, and without time", () => {
    expect(schedule(1, 60, [])).toEqual([]);
    expect(defaults(1, "sentinel", 1)).toEqual([]);
  });
});
