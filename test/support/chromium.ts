import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import packed, { inflate } from "@sparticuz/chromium";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { onTestFinished } from "vitest";

/** A Chromium that can be launched. */
interface Installation {
  readonly executablePath: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Names under which Chromium and Chrome are installed. */
const systemNames = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** The browser talks to this machine and no other, whatever it would like to look up, update or report. */
const offlineArgs = [
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
  "--no-proxy-server",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-quic",
];

/**
 * Arguments of the packed Chromium that are not used: in a single process the whole browser dies with the first context
 * that is closed, and the other two lift rules of the web that tests are about.
 */
const unwantedArgs = new Set(["--single-process", "--disable-web-security", "--allow-running-insecure-content"]);

/**
 * Launches a headless Chromium: the one of `CHROMIUM_PATH`, else one on the PATH, else the one that travels in the
 * `@sparticuz/chromium` package. The caller closes it. It runs without a sandbox, as root must: it sees our pages only.
 *
 * @throws Error when there is none, with the remedies
 */
export async function launchChromium(): Promise<Browser> {
  const { executablePath, args, env } = given() ?? onSystem() ?? (await fromPackage());
  return chromium.launch({ executablePath, args: [...args, ...offlineArgs], env: { ...process.env, ...env } });
}

/** Opens a page in a browser context of its own, as if on another person's machine; it is closed with the test. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext(options);
  onTestFinished(() => context.close());
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

function given(): Installation | undefined {
  const executablePath = process.env["CHROMIUM_PATH"];
  return executablePath ? { executablePath, args: [], env: {} } : undefined;
}

function onSystem(): Installation | undefined {
  // Some distributions have a script under this name that says how to install the browser, and fails.
  const executablePath = systemNames.find((name) => spawnSync(name, ["--version"]).status === 0);
  if (executablePath === undefined) return undefined;
  if (executablePath.startsWith("/")) return { executablePath, args: [], env: {} };
  const { stdout } = spawnSync("sh", ["-c", `command -v ${executablePath}`], { encoding: "utf8" });
  return { executablePath: stdout.trim(), args: [], env: {} };
}

async function fromPackage(): Promise<Installation> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error("The tests need a Chromium. Install Chromium or Google Chrome, or set CHROMIUM_PATH to one.");
  }
  const dir = await unpack();
  return {
    executablePath: join(dir, "chromium"),
    args: packed.args.filter((arg) => !unwantedArgs.has(arg)),
    env: {
      FONTCONFIG_PATH: join(dir, "fonts"),
      LD_LIBRARY_PATH: [join(dir, "al2023", "lib"), process.env["LD_LIBRARY_PATH"]].filter(Boolean).join(":"),
    },
  };
}

/**
 * Unpacks the packed Chromium with the libraries and fonts that a bare machine lacks, once for each version: beside its
 * destination and then renamed, so that test files that run side by side never see half of it.
 */
async function unpack(): Promise<string> {
  const packageDir = dirname(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")));
  const { version } = JSON.parse(await readFile(join(packageDir, "package.json"), "utf8")) as { version: string };
  const cache = join(import.meta.dirname, "../../node_modules/.cache");
  const dir = join(cache, `chromium-${version}`);
  if (await exists(dir)) return dir;
  await mkdir(cache, { recursive: true });
  const unpacking = await mkdtemp(join(cache, "chromium-unpacking-"));
  try {
    await unpackInto(unpacking, packageDir);
    // Its own path is written into the configuration of the fonts.
    const fontsConf = join(unpacking, "fonts", "fonts.conf");
    const conf = await readFile(fontsConf, "utf8");
    await writeFile(fontsConf, conf.replaceAll("/tmp/fonts", join(dir, "fonts")));
    await rename(unpacking, dir);
  } catch (error) {
    await rm(unpacking, { recursive: true, force: true });
    if (!(await exists(dir))) throw error;
  }
  return dir;
}

/** The package unpacks to the directory for temporary files, which it looks up before it first waits. */
async function unpackInto(dir: string, packageDir: string): Promise<void> {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = dir;
  const unpacked = [packed.executablePath(), inflate(join(packageDir, "bin", "al2023.tar.br"))];
  if (before === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = before;
  await Promise.all(unpacked);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
