import { writeFile } from "node:fs/promises";
import type { Contestant } from "./contestants.ts";
import { writeDocs } from "./docs.ts";
import { cores, describeMachine, pin } from "./machine.ts";
import { type Options, readOptions } from "./options.ts";
import { buildBelfry, installPeers, peerVersions } from "./prepare.ts";
import { describeFigures, describeWorkload } from "./report.ts";
import type { Measurement, Results } from "./results.ts";
import { NotOffered, type Workload } from "./workload.ts";

/** Measures one server once, in a process of its own. What fails is a result too: the others go on. */
async function measureOnce(
  workload: Workload,
  contestant: Contestant,
  { scale }: Options,
): Promise<Pick<Measurement, "figures" | "failure">> {
  try {
    const subject = await contestant.start();
    try {
      return { figures: await workload.run(subject, scale, contestant), failure: undefined };
    } finally {
      await subject.close();
    }
  } catch (error) {
    if (!(error instanceof NotOffered)) process.exitCode = 1;
    return { figures: undefined, failure: error instanceof Error ? error.message : String(error) };
  }
}

/** Measures all servers of a workload in turns, the other way round in every other round. */
async function measureWorkload(workload: Workload, options: Options): Promise<Measurement[]> {
  const contestants = workload.contestants.filter(({ server }) => options.servers.includes(server));
  const measurements: Measurement[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    for (const contestant of round % 2 === 1 ? contestants : contestants.toReversed()) {
      const { label } = contestant;
      const measured = await measureOnce(workload, contestant, options);
      measurements.push({ workload: workload.name, label, round, ...measured });
      const { figures, failure } = measured;
      const line = figures ? describeFigures(figures, workload.columns) : failure;
      console.log(`${workload.name} ${round}/${options.rounds} ${label}: ${line}`);
    }
  }
  console.log(`\n${describeWorkload(workload, measurements)}\n`);
  return measurements;
}

async function run(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  installPeers(options.servers);
  if (options.servers.includes("belfry")) buildBelfry();
  const machine = describeMachine();
  pin(process.pid, cores.load);
  if (!machine.isPinned) console.log("No taskset or one core alone: servers and load are not kept apart.\n");
  const measurements: Measurement[] = [];
  for (const workload of options.workloads) measurements.push(...(await measureWorkload(workload, options)));
  const results: Results = {
    date: new Date().toISOString().slice(0, 10),
    command: options.command,
    rounds: options.rounds,
    machine,
    versions: peerVersions(),
    measurements,
  };
  if (options.out !== undefined) await writeFile(options.out, `${JSON.stringify(results, null, 2)}\n`);
  if (options.docs) await writeDocs(results, options.workloads);
}

// Ends what was started, which a signal alone would leave behind.
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));

try {
  await run(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
process.exit();
