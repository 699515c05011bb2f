import { ConfigError } from "./config.ts";

/** Exit code for a wrong configuration: EX_CONFIG of sysexits(3). */
const exitConfig = 78;

/** Ends the process with a line for each problem when the error is about the configuration; else it does nothing. */
export function exitIfConfigError(error: unknown): void {
  if (!(error instanceof ConfigError)) return;
  for (const problem of error.problems) process.stderr.write(`belfry: ${problem}\n`);
  process.exit(exitConfig);
}
