import { expect, test } from "vitest";
import { docker, eventually, portOf, root, run, startContainer } from "./docker.ts";

/** The projects that need no browser. */
const projects = ["unit", "property", "contract", "integration"];

/** What happens in the container: a copy of the sources, without what was installed or built outside. */
const script = `
  set -e
  mkdir /app && cd /app
  tar -C /repository --exclude=./node_modules --exclude=./dist --exclude=./coverage --exclude=./.git -cf - . | tar -xf -
  npm ci --ignore-scripts --no-audit --no-fund
  npm run build
  npm exec -c 'echo "tests run on $(node --version)"'
  npm test -- ${projects.map((name) => `--project ${name}`).join(" ")}
`;

test("the tests pass on Node 26", { timeout: 600_000 }, async () => {
  const redis = await startContainer("--publish", "127.0.0.1::6379", "redis:8");
  await eventually(async () => (await docker("exec", redis, "redis-cli", "ping")) === "PONG");
  const redisUrl = `redis://127.0.0.1:${await portOf(redis, 6379)}`;
  const environment = ["--env", `TEST_REDIS_URL=${redisUrl}`, "--env", "CI=true"];
  const container = ["run", "--rm", "--network", "host", "--volume", `${root}:/repository:ro`, ...environment];

  const { code, stdout, stderr } = await run("docker", [...container, "node:26-slim", "sh", "-c", script]);

  if (code !== 0) console.log(stdout, stderr);
  expect(code).toBe(0);
  expect(stdout).toContain("tests run on v26.");
  const [summary = "none"] = /Tests .*/.exec(stdout) ?? [];
  console.log(`containers: on Node 26: ${summary}`);
});
