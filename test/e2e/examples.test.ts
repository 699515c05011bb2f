import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { launchChromium, openPage } from "../support/chromium.ts";
import { until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const root = join(import.meta.dirname, "../..");

/**
 * Starts what `npm run example:NAME` starts, on a free port; it ends with the test.
 *
 * @returns its URL, once it has printed it, and a way to end it before
 */
async function startExample(name: string): Promise<{ url: string; port: number; stop(): Promise<void> }> {
  const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const [command, ...args] = scripts[`example:${name}`]?.split(" ") ?? [];
  expect(command).toBe("node");
  const env = { ...process.env, PORT: "0" };
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    await once(child, "exit");
  };
  onTestFinished(stop);
  let output = "";
  child.stdout.on("data", (text) => {
    output += text;
  });
  child.stderr.on("data", (text) => {
    output += text;
  });
  const printed = () => /http:\/\/127\.0\.0\.1:(\d+)/.exec(output);
  await until(() => {
    if (child.exitCode !== null) throw new Error(`example:${name} ended with ${child.exitCode}: ${output}`);
    return printed() !== null;
  });
  const [url = "", port] = printed() ?? [];
  return { url, port: Number(port), stop };
}

describe("example:echo", () => {
  test("sends what a client says back to all connections of its user", async () => {
    const { port, url } = await startExample("echo");
    const first = await TestClient.welcomed(port, "alice");
    const second = await TestClient.welcomed(port, ["belfry.v1", "alice"]);
    const bob = await TestClient.welcomed(port, "bob");

    first.send({ type: "message", event: "hello", data: { from: "the first" } });
    const echo = { type: "message", scope: "user", event: "hello", data: { from: "the first" } };
    expect(await first.next()).toMatchObject(echo);
    expect(await second.next()).toMatchObject(echo);

    bob.send({ type: "message", data: null });
    expect(await bob.next()).toMatchObject({ type: "message", scope: "user", data: null });
    expect(first.queue).toEqual([]);
    expect(await (await fetch(url)).text()).toContain("/ws");
  });
});

describe("example:chat", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  /** Opens the page; whatever it complains about fails the test. */
  async function open(url: string): Promise<Page> {
    const page = await openPage(browser, "about:blank");
    const complaints: string[] = [];
    page.on("console", (message) => void (message.type() === "error" && complaints.push(message.text())));
    page.on("pageerror", (error) => void complaints.push(String(error)));
    onTestFinished(() => expect(complaints).toEqual([]));
    await page.goto(url);
    return page;
  }

  /** Opens the page and joins as a person without a mouse does. */
  async function join(url: string, name: string): Promise<Page> {
    const page = await open(url);
    await page.getByLabel("Your name").focus();
    await page.keyboard.type(name);
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText("connected", { exact: true }).waitFor();
    return page;
  }

  /** Says something; the focus stands in the field since the last time. */
  async function say(page: Page, text: string): Promise<void> {
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  }

  function linesOf(page: Page): Promise<string[]> {
    return page.getByRole("log").locator("> *").allInnerTexts();
  }

  async function shows(page: Page, ...texts: string[]): Promise<void> {
    const log = page.getByRole("log");
    for (const text of texts) await log.getByText(text, { exact: true }).waitFor();
  }

  test("shows both what each says, who comes and who leaves", async () => {
    const { url } = await startExample("chat");
    const ada = await join(url, "Ada");
    await shows(ada, "Ada joined");
    const zoe = await join(url, "Zoë 鐘 @ home");
    await shows(ada, "Zoë 鐘 @ home joined");
    await ada.getByText("2 here").waitFor();

    await say(ada, "Do you hear the bell?");
    await shows(ada, "Do you hear the bell?");
    await shows(zoe, "Ada", "Do you hear the bell?");
    await say(zoe, "Loud & clear 🔔");
    for (const page of [ada, zoe]) await shows(page, "Zoë 鐘 @ home", "Loud & clear 🔔");

    await zoe.getByRole("button", { name: "Leave" }).press("Enter");
    await zoe.getByRole("button", { name: "Join" }).waitFor();
    await shows(ada, "Zoë 鐘 @ home left");
    await ada.getByText("1 here").waitFor();
    expect(await zoe.getByRole("status").textContent()).toBe("offline");

    const bob = await join(url, "Bob");
    await bob.close();
    await shows(ada, "Bob joined", "Bob left");
  });

  test("shows markup as the text it is", async () => {
    const { url } = await startExample("chat");
    const mallory = await join(url, "<b>Mallory</b>");
    const ada = await join(url, "Ada");
    const attack = `<img src=x onerror="document.title='gone'"><script>document.title='gone'</script>`;

    await say(mallory, attack);

    await shows(ada, "<b>Mallory</b>", attack);
    expect(await ada.title()).toBe("Belfry chat");
    expect(await ada.getByRole("log").locator("img, script").count()).toBe(0);
  });

  test("allows its page nothing but its own files and its own server", async () => {
    const { url } = await startExample("chat");

    const { headers } = await fetch(url);

    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|data:|http/);
    expect((await fetch(`${url}/server.ts`)).status).toBe(404);
  });

  test("says that the connection is lost, and sends nothing meanwhile", async () => {
    const { url, stop } = await startExample("chat");
    const page = await openPage(browser, url);
    await page.getByLabel("Your name").fill("Ada");
    await page.getByRole("button", { name: "Join" }).click();
    await shows(page, "Ada joined");

    await stop();

    await page
      .getByRole("status")
      .getByText(/connecting/)
      .waitFor();
    expect(await page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
    await page.getByLabel("Message", { exact: true }).fill("Is anybody there?");
    await page.keyboard.press("Enter");
    expect(await page.getByLabel("Message", { exact: true }).inputValue()).toBe("Is anybody there?");
    expect(await linesOf(page)).toEqual(["Ada joined"]);
  });
});

describe("example:tunnel", () => {
  test("brings what the gateway is asked to a server that nobody can connect to", async () => {
    const { url } = await startExample("tunnel");
    await until(async () => (await fetch(url)).ok);
    const post = await fetch(`${url}/hello?a=b`, { method: "POST", body: "some body" });
    expect(await post.json()).toMatchObject({ method: "POST", path: "/hello?a=b", bytes: 9 });
    const large = await fetch(`${url}/large`);
    expect((await large.arrayBuffer()).byteLength).toBe(1600 * 65_536);
  });
});
