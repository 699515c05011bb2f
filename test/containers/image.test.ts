import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { callerOf } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { docker, eventually, portOf, root, run, startContainer } from "./docker.ts";

const image = inject("belfryImage");

/** What a careful operator adds to `docker run`. */
const hardened = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
const published = ["--env", "ALLOW_INSECURE=true", "--publish", "127.0.0.1::8080"];

/** Starts the service and waits until it serves. */
async function startBelfry(...options: string[]): Promise<{ container: string; port: number }> {
  const container = await startContainer(...published, ...options, image);
  const port = await portOf(container, 8080);
  await eventually(async () => (await callerOf(port)("GET", "/healthz")).status === 200);
  return { container, port };
}

const readJson = async (file: string) => JSON.parse(await readFile(join(root, file), "utf8"));
const inspect = async (what: string, format: string) => JSON.parse(await docker("inspect", "--format", format, what));

test("holds what the service needs and nothing else", async () => {
  const list = `
    const { readdirSync, readFileSync } = require("fs");
    const installed = JSON.parse(readFileSync("node_modules/.package-lock.json", "utf8")).packages;
    console.log(JSON.stringify({ files: readdirSync("."), packages: Object.keys(installed) }));`;
  const { files, packages } = JSON.parse(await docker("run", "--rm", image, "node", "-e", list));
  const locked: Record<string, { dev?: boolean }> = (await readJson("package-lock.json")).packages;

  expect(files).toEqual(["dist", "node_modules", "package.json"]);
  expect(packages).toContain("node_modules/ws");
  expect(packages.filter((path: string) => locked[path]?.dev !== undefined)).toEqual([]);
  expect(packages.filter((path: string) => !(path in locked))).toEqual([]);
});

test("says which version it is", async () => {
  const labels = await inspect(image, "{{json .Config.Labels}}");
  const { version, license } = await readJson("package.json");

  expect(labels).toMatchObject({
    "org.opencontainers.image.title": "Belfry",
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.licenses": license,
  });
});

test("refuses to start open to the world, with a line for each reason and exit code 78", async () => {
  const { code, stdout, stderr } = await run("docker", ["run", "--rm", image]);

  expect(code).toBe(78);
  expect(stdout).toBe("");
  expect(stderr.trim().split("\n")).toEqual([
    expect.stringMatching(/^belfry: AUTH_MODE: .*ALLOW_INSECURE/),
    expect.stringMatching(/^belfry: API_KEYS: .*ALLOW_INSECURE/),
  ]);
});

test("works without root, capabilities and a writable file system", async () => {
  const { container, port } = await startBelfry(...hardened, "--health-interval", "1s");
  const status = await docker("exec", container, "cat", "/proc/1/status");
  const write = "require('fs').writeFileSync('/tmp/x', '')";

  expect(status).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
  expect(status).toMatch(/^Gid:\t1000\t1000\t1000\t1000$/m);
  expect(status).toMatch(/^CapBnd:\t0+$/m);
  expect((await run("docker", ["exec", container, "node", "-e", write])).stderr).toContain("EROFS");
  const client = await TestClient.welcomed(port, "alice");
  const { status: published } = await callerOf(port)("POST", "/users/alice/messages", { data: "hello" });
  expect(published).toBe(202);
  expect(await client.next()).toMatchObject({ type: "message", data: "hello" });
  await eventually(async () => (await inspect(container, "{{json .State.Health.Status}}")) === "healthy");
});

test("honours PORT, in its health check too", async () => {
  const container = await startContainer(
    ...hardened,
    "--env",
    "PORT=9000",
    ...published,
    "--health-interval=1s",
    image,
  );

  await eventually(async () => (await inspect(container, "{{json .State.Health.Status}}")) === "healthy");
  expect(await docker("logs", container)).toContain('"port":9000');
});

test("is not healthy when nothing answers", async () => {
  const options = ["--health-interval=1s", "--health-retries=1", "--health-start-period=1ms"];
  const container = await startContainer(...options, image, "sleep", "60");

  await eventually(async () => (await inspect(container, "{{json .State.Health.Status}}")) === "unhealthy");
});

test("serves within 2 s of its start", async () => {
  const { container } = await startBelfry(...hardened);
  const servedAt = Date.now();
  const startedAt = Date.parse(await inspect(container, "{{json .State.StartedAt}}"));

  console.log(`containers: served ${servedAt - startedAt} ms after the start`);
  expect(servedAt - startedAt).toBeLessThan(2000);
});

test("drains on SIGTERM and exits with 0", async () => {
  const { container, port } = await startBelfry(...hardened, "--env", "DRAIN_TIMEOUT_MS=2000");
  const client = await TestClient.welcomed(port, "alice");

  await docker("stop", "--time", "20", container);

  expect(await client.closed).toEqual({ code: 1001, reason: "2000" });
  expect(await inspect(container, "{{json .State.ExitCode}}")).toBe(0);
});
