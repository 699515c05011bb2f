import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { readApiKeysFile } from "../../src/api-keys-file.ts";
import { ConfigError, readConfig } from "../../src/config.ts";
import { hush } from "../support/secrets.ts";
import { type Service, startService, until } from "../support/service.ts";

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "belfry-keys-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

function fileOf(text: string): string {
  const file = join(newDirectory(), "keys");
  writeFileSync(file, text);
  return file;
}

async function statusWith({ call }: Service, key: string): Promise<number> {
  const { status } = await call("POST", "/broadcast", { data: 1 }, { authorization: `Bearer ${hush(key)}` });
  return status;
}

describe("API_KEYS_FILE", () => {
  it("holds the entries of API_KEYS, one a line or comma separated, and comments", () => {
    const file = fileURLToPath(new URL("../support/api-keys.txt", import.meta.url));
    expect(readApiKeysFile(file)).toEqual([
      { name: "key1", secret: "one", rights: ["publish", "read", "admin"] },
      { name: "shop", secret: "two", rights: ["publish", "read", "admin"] },
      { name: "audit", secret: "three", rights: ["read"] },
      { name: "ops", secret: "four#five", rights: ["publish", "admin"] },
    ]);
    expect(readApiKeysFile(fileOf("a:one\r\nb:two\r\n"))).toHaveLength(2);
  });

  it.each([
    ["", "holds no keys"],
    ["# nothing\n\n", "holds no keys"],
    ["a:sesame\nb:sesame:write", "has an entry (number 2) with a right other than publish, read, admin"],
    ["sesame,,b", "has an entry (number 2) that is neither secret, nor name:secret, nor name:secret:right+right"],
  ])("%j stops the start, and says why without its secrets", async (text, problem) => {
    const file = fileOf(text);
    expect(() => readConfig({ API_KEYS_FILE: file })).toThrow(new ConfigError([`API_KEYS_FILE: "${file}" ${problem}`]));
    await expect(startService({ apiKeysFile: file })).rejects.toThrow(problem);
  });

  it("stops the start when it is not there, and beside API_KEYS", () => {
    expect(() => readConfig({ API_KEYS_FILE: "/nowhere" })).toThrow('"/nowhere" cannot be read (ENOENT)');
    expect(() => readConfig({ API_KEYS_FILE: fileOf("a:b"), API_KEYS: "c" })).toThrow("keep one of them");
  });

  it("is read again when it changes: keys are rotated without a restart", async () => {
    const file = fileOf(`shop:${hush("old")}:publish`);
    const service = await startService({ apiKeysFile: file });
    expect([await statusWith(service, "old"), await statusWith(service, "new")]).toEqual([202, 401]);

    writeFileSync(file, `shop:${hush("old")}:publish\nshop:${hush("new")}:publish\n`);
    await until(async () => (await statusWith(service, "new")) === 202);
    expect(await statusWith(service, "old")).toBe(202);

    writeFileSync(file, `shop:${hush("new")}:read\n`);
    await until(async () => (await statusWith(service, "old")) === 401);
    expect(await statusWith(service, "new")).toBe(403);
  });

  it("is read again when a link leads to another file, as Kubernetes does it", async () => {
    const directory = newDirectory();
    for (const version of ["v1", "v2"]) {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, "keys"), hush(version));
    }
    symlinkSync("v1", join(directory, "data"));
    symlinkSync(join("data", "keys"), join(directory, "keys"));
    const service = await startService({ apiKeysFile: join(directory, "keys") });
    expect(await statusWith(service, "v1")).toBe(202);

    symlinkSync("v2", join(directory, "next"));
    renameSync(join(directory, "next"), join(directory, "data"));
    await until(async () => (await statusWith(service, "v2")) === 202);
    expect(await statusWith(service, "v1")).toBe(401);
  });

  it("that became wrong or vanished leaves the keys that were, and an error in the log without secrets", async () => {
    const file = fileOf(`shop:${hush("sesame")}`);
    const service = await startService({ apiKeysFile: file });
    writeFileSync(file, `shop:${hush("barley")}:write\n`);
    await until(() => service.logs.some((line) => line.includes("a right other than")));
    rmSync(file);
    await until(() => service.logs.some((line) => line.includes("cannot be read (ENOENT)")));
    expect([await statusWith(service, "sesame"), await statusWith(service, "barley")]).toEqual([202, 401]);

    writeFileSync(file, `shop:${hush("rye")}`);
    await until(async () => (await statusWith(service, "rye")) === 202);
    expect(service.logs.join("")).not.toMatch(/sesame|barley|rye/);
  });
});
