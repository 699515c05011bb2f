import { Campaign } from "./campaign.ts";
import { configurationOf } from "./configuration.ts";
import { readOptions } from "./options.ts";
import { describeFindings, describeFootprint, inOneLine } from "./report.ts";

const interruption = new AbortController();
process.once("SIGINT", () => interruption.abort());
process.once("SIGTERM", () => interruption.abort());

process.exitCode = 0;
try {
  const options = readOptions(process.argv.slice(2));
  for (const name of options.configurations) {
    const command = `npm run fuzz -- --seed ${options.seed} --config ${name}`;
    console.log(options.only ? command : `${command} --count ${options.count} ...`);
    const startMs = performance.now();
    const campaign = new Campaign(options, configurationOf(name), interruption.signal);
    await campaign.run();
    const { tally, findings, footprints, received, pulseMs } = campaign;
    const seconds = (performance.now() - startMs) / 1000;
    const cases = tally.total("kinds");
    console.log(`  cases         ${cases} in ${Math.round(seconds)} s: ${inOneLine(tally, "kinds")}`);
    console.log(`  answers       ${inOneLine(tally, "answers")}`);
    console.log(`  good client   ${received}`);
    console.log(`  /healthz      ${pulseMs.toFixed(1)} ms (p99)`);
    for (const [index, footprint] of footprints.entries()) {
      console.log(`  ${["at the start", "round 1     ", "round 2     "][index]}  ${describeFootprint(footprint)}`);
    }
    console.log(`  findings      ${findings.length}\n`);
    if (findings.length > 0) {
      console.log(`${describeFindings(findings, command)}\n`);
      process.exitCode = 1;
    }
    if (interruption.signal.aborted) throw new Error("Interrupted: nothing is proved.");
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}

// Nothing of a run is worth waiting for.
process.exit();
