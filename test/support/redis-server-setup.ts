import { spawnSync } from "node:child_process";

/** For the tests that run Redis servers of their own, as masters, replicas and sentinels. */
export default function setup(): void {
  ensureRedisServer("Please");
}

/**
 * Makes sure that there is a `redis-server` on the PATH: installs it where that needs no question, as root on Debian and
 * Alpine.
 *
 * @param remedy what else would help, as the beginning of a sentence that goes on with "install redis-server"
 * @throws Error when there is none
 */
export function ensureRedisServer(remedy: string): void {
  if (!isInstalled() && process.getuid?.() === 0) install();
  if (isInstalled()) return;
  throw new Error(
    `The tests need a Redis. ${remedy} install redis-server ` +
      "(Debian: apt-get install redis-server; macOS: brew install redis; Alpine: apk add redis).",
  );
}

function isInstalled(): boolean {
  return spawnSync("redis-server", ["--version"]).status === 0;
}

function install(): void {
  const commands = [
    "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server",
    "apk add --quiet redis",
  ];
  for (const command of commands) {
    const tool = command.split(" ", 1)[0] ?? "";
    if (spawnSync(tool, ["--version"]).status !== 0) continue;
    console.log(`tests: installing redis-server with ${tool}`);
    const { status, stderr } = spawnSync("sh", ["-c", command], { encoding: "utf8" });
    if (status !== 0) console.log(`tests: ${tool} failed: ${stderr}`);
  }
}
