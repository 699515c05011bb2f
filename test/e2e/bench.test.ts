import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Results } from "../../bench/results.ts";

const main = new URL("../../bench/main.ts", import.meta.url).pathname;

/** Runs what `npm run bench` runs. */
async function runBench(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill());
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text) => {
      output += text;
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

describe("npm run bench", () => {
  it("measures Belfry beside ws, and loses nothing", async () => {
    const directory = await mkdtemp(join(tmpdir(), "belfry-bench-test-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const out = join(directory, "results.json");
    const { code, output } = await runBench("--only", "W1,W4", "--servers", "belfry,ws", "--quick", "--out", out);
    expect(output).toContain("Belfry better, times");
    expect(code).toBe(0);
    const { command, measurements } = JSON.parse(await readFile(out, "utf8")) as Results;
    expect(command).toBe("npm run bench -- --only W1,W4 --servers belfry,ws --quick");
    const measured = measurements.map(({ workload, label }) => `${workload} ${label}`);
    expect(measured).toEqual([
      "W1 Belfry",
      "W1 ws, naive loop",
      "W1-5k Belfry",
      "W1-5k ws, naive loop",
      "W4 Belfry",
      "W4 Belfry, /batch of 100",
      "W4 ws + express",
    ]);
    for (const { figures } of measurements) {
      expect(figures).toMatchObject({ lost: 0, refused: 0 });
      const rate = figures?.values["deliveries"] ?? figures?.values["accepted"];
      expect(rate).toBeGreaterThan(0);
    }
  });

  it("names what it does not know, with the usage", async () => {
    const { code, output } = await runBench("--only", "W99");
    expect(code).toBe(1);
    expect(output).toContain("there is no W99");
    expect(output).toContain("--servers LIST");
  });
});
