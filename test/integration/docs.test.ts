import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { publishScript } from "../../src/broker/redis-scripts.ts";
import { describeVariables } from "../../src/config-variables.ts";
import { type Service, startReplicas, startService, uniquePrefix } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (name: string) => readFileSync(join(root, name), "utf8");
const pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].concat(
  [
    "architecture",
    "benchmarks",
    "chaos",
    "configuration",
    "fuzz",
    "http-api",
    "operations",
    "protocol",
    "redis",
    "webhooks",
  ].map((name) => `docs/${name}.md`),
);

/** The shell commands in a page's code blocks, as lists of words; line continuations and quotes as sh has them. */
function redisCommands(page: string): string[][] {
  const blocks = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block.replace(/^ts=.*$/gm, ""));
  const commands = blocks
    .join("\n")
    .split(/^(?=redis-cli )/m)
    .filter((command) => command.startsWith("redis-cli "));
  return commands.map((command) =>
    [...command.matchAll(/'([^']*)'|"((?:[^"\\]|\\.)*)"|([^\s\\'"]+)/gs)].map(
      ([, single, double, plain]) => single ?? double?.replaceAll('\\"', '"') ?? plain ?? "",
    ),
  );
}

describe("the documentation", () => {
  it("lists every variable as the service does", () => {
    const rows = describeVariables().map(({ name, default: preset, description }) => {
      return `| \`${name}\` | ${preset === "unset" ? preset : `\`${preset}\``} | ${description} |`;
    });
    const page = read("docs/configuration.md");
    expect(page.match(/^\| `.*$/gm)).toEqual(rows);
  });

  it("names for every threat a test that is there", () => {
    const rows = read("SECURITY.md").match(/^\| (?!who|---).*$/gm) ?? [];
    expect(rows.length).toBeGreaterThan(20);
    const missing = rows.filter((row) => {
      const [, file = "", title = ""] = /`(test\/[^`]+)`: (.*) \|$/.exec(row) ?? [];
      return !existsSync(join(root, file)) || !read(file).includes(`"${title}"`);
    });
    expect(missing).toEqual([]);
  });

  it.each(pages)("links in %s to what is there", (name) => {
    const links = [...read(name).matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link]) => link ?? "");
    const dead = links.filter((link) => !link.startsWith("https://") && !existsSync(join(root, dirname(name), link)));
    expect(dead).toEqual([]);
  });

  it("shows calls of curl by which a stream is read and a frame is sent", async () => {
    const [get = "", post = "", ...others] = [...read("docs/protocol.md").matchAll(/^curl .*$/gm)].map(
      ([line]) => line,
    );
    expect(others).toEqual([]);
    const { port } = await startService();
    const abort = new AbortController();
    onTestFinished(() => abort.abort());
    const call = (command: string, variables: Record<string, string> = {}) => {
      const { url, ...request } = curlRequest(command, variables);
      return fetch(url.replace("localhost:8080", `http://127.0.0.1:${port}`), { ...request, signal: abort.signal });
    };
    let stream = "";
    const reader = (await call(get)).body?.pipeThrough(new TextDecoderStream()).getReader();
    while (!stream.includes("\n\n")) stream += (await reader?.read())?.value;
    const { connection, secret } = JSON.parse(/^data: (.*)$/m.exec(stream)?.[1] ?? "");
    const sent = await call(post, { CONNECTION: connection, SECRET: secret });
    expect([sent.status, await sent.text()]).toEqual([202, "{}"]);
  });

  it("shows Redis commands that work: one that is live only, and one that stores", async () => {
    const [live, stored, ...others] = redisCommands(read("docs/redis.md")) as [string[], string[]];
    expect(others).toEqual([]);
    const redisPrefix = uniquePrefix();
    const [one] = (await startReplicas(1, { redisPrefix })) as [Service];
    const client = await TestClient.welcomed(one.port, "alice");
    const redis = new Redis(inject("redisUrl"));
    onTestFinished(() => redis.disconnect());
    const run = ([, command = "", ...words]: string[]) => {
      const ts = String(Date.now());
      return redis.call(
        command,
        ...words.map((word) => word.replace(/^belfry:/, `${redisPrefix}:`).replaceAll("$ts", ts)),
      );
    };
    await run(live);
    expect(await client.next()).toMatchObject({ id: expect.stringMatching(/^l-/), scope: "user", data: { n: 1 } });
    expect(stored[2]).toBe(createHash("sha1").update(publishScript("PUBLISH")).digest("hex"));
    expect(read("docs/redis.md")).toContain(createHash("sha1").update(publishScript("SPUBLISH")).digest("hex"));
    const [outcome, epoch, offset, replicas] = (await run(stored)) as unknown[];
    expect([outcome, offset, replicas]).toEqual(["new", 1, 1]);
    expect(await client.next()).toMatchObject({ id: `u-${epoch}-1`, scope: "user", data: { n: 1 } });
  });
});

/** What a call of curl asks for: not every machine has it. Knows -H, -d and -N, and fails at anything else. */
function curlRequest(command: string, variables: Readonly<Record<string, string>>) {
  const expand = (text: string) => text.replace(/\$(\w+)/g, (_, name: string) => variables[name] ?? "");
  const words = Array.from(command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g), ([, single, double, plain]) =>
    single === undefined ? expand(double ?? plain ?? "") : single,
  );
  const headers: Record<string, string> = {};
  const request: { url: string; method: string; body: string | null } = { url: "", method: "GET", body: null };
  for (let word = words[1], n = 1; word !== undefined; word = words[++n]) {
    if (word === "-H") {
      const [name = "", value = ""] = words[++n]?.split(": ") ?? [];
      headers[name] = value;
    } else if (word === "-d") {
      Object.assign(request, { method: "POST", body: words[++n] });
    } else if (word !== "-N") {
      expect(word).toMatch(/^localhost/);
      request.url = word;
    }
  }
  return { ...request, headers };
}
