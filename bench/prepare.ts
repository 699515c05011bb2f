import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ServerName } from "./contestants.ts";

const directory = fileURLToPath(new URL(".", import.meta.url));

/** Packages whose versions a reader wants to know, and where they are installed. */
const packages = {
  ws: "../node_modules/ws",
  express: "../node_modules/express",
  "socket.io": "node_modules/socket.io",
  "uWebSockets.js (@trufflesuite/uws-js-unofficial)": "node_modules/@trufflesuite/uws-js-unofficial",
  "Node for uWebSockets.js": "node_modules/node",
} as const;

/** Builds Belfry, so that what is measured is what is shipped, and not what was built some time ago. */
export function buildBelfry(): void {
  npm(["run", "--silent", "build"], "the build failed");
}

/** Installs what the servers need that the project itself does not, at first use. */
export function installPeers(servers: readonly ServerName[]): void {
  const isNeeded = servers.includes("socket.io") || servers.includes("uws");
  if (!isNeeded || existsSync(`${directory}node_modules/.package-lock.json`)) return;
  console.log("installing the peers, once: npm ci --prefix bench");
  const failure = "npm ci --prefix bench failed; --servers belfry,ws needs no peers";
  npm(["ci", "--prefix", directory, "--no-audit", "--no-fund"], failure);
}

function npm(args: readonly string[], failure: string): void {
  const { status } = spawnSync("npm", args, { cwd: `${directory}..`, stdio: "inherit" });
  if (status !== 0) throw new Error(failure);
}

/** The versions of what is installed. */
export function peerVersions(): Record<string, string> {
  const found = Object.entries(packages).flatMap(([name, path]) => {
    const file = `${directory}${path}/package.json`;
    if (!existsSync(file)) return [];
    return [[name, (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version] as const];
  });
  return Object.fromEntries(found);
}
