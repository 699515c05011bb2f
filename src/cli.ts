#!/usr/bin/env -S node --max-semi-space-size=8
import { Command, InvalidArgumentError, Option } from "commander";
import { readTokenConfig } from "./config.ts";
import { describeVariables } from "./config-variables.ts";
import { exitIfConfigError } from "./exit-config.ts";
import type { BenchOptions } from "./load/bench-options.ts";
import { minPayloadBytes } from "./load/payload.ts";
import { isName } from "./protocol/user-ids.ts";
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

/** Reads an option that is a number. */
function number(min: number, max: number) {
  return (text: string) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It is a number from ${min} to ${max}.`);
  };
}

/** Reads an option that is a whole number. */
function whole(min: number, max: number) {
  return (text: string) => {
    const value = number(min, max)(text);
    if (Number.isInteger(value)) return value;
    throw new InvalidArgumentError("It is a whole number.");
  };
}

/** Reads a user id. */
function userId(text: string): string {
  if (isName(text)) return text;
  throw new InvalidArgumentError("It is 1 to 128 characters.");
}

const secondsIn: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400 };

/** Reads a time such as `90s`, `15m`, `1h` or `7d`, in seconds. */
function duration(text: string): number {
  const [, digits, unit = ""] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  const seconds = Number(digits) * (secondsIn[unit] ?? 0);
  if (seconds <= 3650 * 86400) return seconds;
  throw new InvalidArgumentError("It is a time such as 90s, 15m, 1h or 7d, 3650d at most.");
}

const tokenHelp = `
It is signed with JWT_SECRET (HS256), and has what JWT_ISSUER, JWT_AUDIENCE and JWT_USER_CLAIM ask for.

  $ export AUTH_MODE=jwt JWT_SECRET=at-least-32-bytes-that-nobody-can-guess
  $ belfry serve &
  $ belfry token --user alice --ttl 1h

Exit codes: 0 printed, 1 wrong arguments, 78 no usable JWT_SECRET
`;

program
  .command("token")
  .description("print a token for a user, for development: it says who a client is with AUTH_MODE=jwt")
  .requiredOption("--user <id>", "the user", userId)
  .option("--ttl <time>", "how long it is valid: 90s, 15m, 1h, 7d", duration, 3600)
  .addHelpText("after", tokenHelp)
  .action(async ({ user, ttl }: { user: string; ttl: number }) => {
    try {
      const config = readTokenConfig(process.env);
      const { signToken } = await import("./auth/sign-token.ts");
      process.stdout.write(`${await signToken(config, user, ttl)}\n`);
    } catch (error) {
      exitIfConfigError(error);
      throw error;
    }
  });

program
  .command("bench")
  .description("load a running server: connect, publish, and count what arrives")
  .option("--url <url>", "the server", "ws://localhost:8080")
  .option("--api-url <url>", "its publisher API, if that has a port of its own")
  .option("--connections <n>", "connections, each of a user of its own", whole(1, 200_000), 1000)
  .option("--publishers <n>", "connections that publish", whole(1, 1000), 1)
  .option("--messages <n>", "messages to publish; default 1000, unless --seconds is given", whole(1, 1e9))
  .option("--seconds <n>", "how long to publish", number(0.1, 3600))
  .option("--rate <n>", "messages a second; default: as fast as they are answered", number(0.01, 1e6))
  .option("--size <bytes>", "bytes of a message's data", whole(minPayloadBytes, 1024 * 1024), 128)
  .addOption(
    new Option("--to <whom>", "everyone, or one user each").choices(["broadcast", "user"]).default("broadcast"),
  )
  .option("--burst <n>", "requests in one write", whole(1, 1000), 1)
  .option("--batch <n>", "messages in a request", whole(1, 1000), 1)
  .addOption(new Option("--api-key <key>", "better in the environment: others see arguments").env("BELFRY_API_KEY"))
  .option("--compression", "ask for permessage-deflate")
  .option("--json", "print one line of JSON, as into a pipe")
  .option("--yes", "load a server that is not on this machine")
  .addHelpText("after", "\nExit codes: 0 all arrived, 1 something was lost, refused or closed, or could not be done\n")
  .action(async (options: BenchOptions) => {
    const { bench } = await import("./load/bench.ts");
    try {
      if (!(await bench(options))) process.exitCode = 1;
    } catch (error) {
      program.error(`belfry: ${error instanceof Error ? error.message : error}`);
    }
  });

await program.parseAsync();
