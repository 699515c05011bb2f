#!/usr/bin/env -S node --max-semi-space-size=8
import { Command } from "commander";
import { describeVariables } from "./config.ts";
import { version } from "./version.ts";

/** The configuration variables as a table for a terminal. */
function variableTable(): string {
  const rows = describeVariables();
  const nameWidth = Math.max(...rows.map(({ name }) => name.length));
  const defaultWidth = Math.max(...rows.map((row) => row.default.length));
  const lines = rows.map(
    (row) => `  ${row.name.padEnd(nameWidth)}  ${row.default.padEnd(defaultWidth)}  ${row.description}`,
  );
  return `\nEnvironment variables, with their defaults:\n${lines.join("\n")}\n\nExit codes: 0 stopped, 1 failed, 78 wrong configuration\n`;
}

const program = new Command("belfry")
  .description("Push notifications over WebSocket: one process in memory, or any number of replicas on Redis.")
  .version(version);

program
  .command("serve")
  .description("run the service; it is configured by environment variables")
  .addHelpText("after", variableTable)
  .action(async () => {
    await import("./main.ts");
  });

await program.parseAsync();
