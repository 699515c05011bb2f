import { describe, expect, it } from "vitest";
import { makeCase } from "../../../fuzz/campaign.ts";
import { configurationNames, configurationOf } from "../../../fuzz/configuration.ts";
import { readOptions } from "../../../fuzz/options.ts";

const schemas = { Message: { type: "object", properties: { data: {} }, required: ["data"] } };
const operations = [{ method: "POST", path: "/users/{id}/messages", query: [], body: { $ref: "#/x/Message" } }];
const cases = (seed: number, name: (typeof configurationNames)[number] = "jwt") =>
  Array.from({ length: 300 }, (_, number) => makeCase(seed, number, configurationOf(name), { operations, schemas }));

describe("the cases of a seed", () => {
  it.each(configurationNames)("are the same each time, with %s", (name) => {
    expect(cases(7, name)).toEqual(cases(7, name));
  });

  it("are others than those of another seed, of every kind", () => {
    expect(cases(7)).not.toEqual(cases(8));
    expect(new Set(cases(7).map(({ kind }) => kind)).size).toBe(3);
    expect(new Set(cases(7).map(({ ending }) => ending)).size).toBe(3);
  });
});

describe("readOptions", () => {
  it("takes what it is given, and a random seed where nothing is said", () => {
    const args = ["--seed", "7", "--count", "20", "--only", "3,5", "--config", "none", "--concurrency", "2"];
    const expected = { seed: 7, count: 20, only: [3, 5], configurations: ["none"], concurrency: 2 };
    expect(readOptions(args)).toEqual(expected);
    expect(readOptions([])).toMatchObject({ count: 10_000, only: undefined, configurations: ["jwt", "none"] });
  });

  it.each(["--seed=x", "--count=0", "--only=1,x", "--config=other", "--nonsense"])("refuses %s", (arg) => {
    expect(() => readOptions([arg])).toThrow("npm run fuzz");
  });
});
