import { describe, expect, it } from "vitest";
import { readOptions } from "../../../chaos/options.ts";

const faultsOf = (...args: string[]) => readOptions(args).faults;

describe("readOptions", () => {
  it("asks for one Redis that is standalone, and a random seed, where nothing is said", () => {
    expect(readOptions([])).toMatchObject({
      seconds: 60,
      clients: 200,
      sse: 0.25,
      rate: 100,
      redis: "standalone",
      wait: 0,
    });
    expect(readOptions([]).seed).toBeGreaterThan(0);
  });

  it("takes what it is given", () => {
    const args = [
      "--seed",
      "7",
      "--seconds",
      "5",
      "--clients",
      "3",
      "--sse",
      "0.5",
      "--rate",
      "1",
      "--redis",
      "sentinel",
      "--wait",
      "1",
    ];
    const faults = ["master-kill", "client-cut"];
    const expected = { seed: 7, seconds: 5, clients: 3, sse: 0.5, rate: 1, redis: "sentinel", wait: 1, faults };
    expect(readOptions([...args, "--faults", "master-kill,client-cut"])).toEqual(expected);
  });

  it("waits for all replicas that a master has", () => {
    expect(readOptions(["--redis", "sentinel"]).wait).toBe(2);
    expect(readOptions(["--redis", "cluster"]).wait).toBe(1);
  });

  it("inflicts what is possible with the Redis, and loses nothing unless it is told to", () => {
    expect(faultsOf()).toEqual(expect.arrayContaining(["replica-kill", "client-cut", "link-cut", "redis-crash"]));
    expect(faultsOf()).not.toContain("redis-flush");
    expect(faultsOf("--faults", "all")).toContain("redis-flush");
    expect(faultsOf("--faults", "none")).toEqual([]);
    for (const redis of ["sentinel", "cluster"]) {
      const faults = faultsOf("--redis", redis);
      expect(faults).toEqual(expect.arrayContaining(["replica-kill", "client-cut", "master-kill", "master-stop"]));
      expect(faults.filter((kind) => /^(link|redis)-/.test(kind))).toEqual([]);
      expect(faults.filter((kind) => kind.endsWith("-failover"))).toEqual([`${redis}-failover`]);
      expect(faultsOf("--redis", redis, "--faults", "all")).toEqual(faults);
    }
  });

  it.each([
    ["a share that is none", ["--sse", "2"], "--sse: a number from 0 to 1"],
    ["a fault that there is not", ["--faults", "client-cut,nonsense"], "--faults: there is no nonsense"],
    [
      "a fault of another Redis",
      ["--faults", "master-kill"],
      "master-kill is possible with --redis sentinel or cluster",
    ],
    [
      "a fault of one Redis",
      ["--redis", "cluster", "--faults", "link-cut"],
      "link-cut is possible with --redis standalone",
    ],
    ["an unknown kind of Redis", ["--redis", "valkey"], "--redis: one of standalone, sentinel, cluster"],
    ["more replicas than there are", ["--redis", "cluster", "--wait", "2"], "--wait: a number from 0 to 1"],
    ["replicas where there are none", ["--wait", "1"], "--wait: a number from 0 to 0"],
    ["what is no number", ["--seed", "x"], "--seed: a number from 1 to 4294967295"],
    ["no clients", ["--clients", "0"], "--clients: a number from 1 to 5000"],
    ["an unknown option", ["--colour"], "--colour"],
  ])("refuses %s, with the usage", (_, args, message) => {
    expect(() => readOptions(args)).toThrow(message);
    expect(() => readOptions(args)).toThrow("npm run chaos -- [options]");
  });
});
