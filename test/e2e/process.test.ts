import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { describeVariables } from "../../src/config-variables.ts";
import { runCli, startProcess } from "../support/process.ts";
import { uniquePrefix, until } from "../support/service.ts";
import { refusedUpgrade, TestClient } from "../support/test-client.ts";

describe("belfry", () => {
  it("lists every variable with its default in serve --help", async () => {
    const { code, stdout } = await runCli(["serve", "--help"]);
    expect(code).toBe(0);
    for (const variable of describeVariables()) {
      expect(stdout).toMatch(new RegExp(`^  ${variable.name} +${variable.default.replace("*", "\\*")} +\\S`, "m"));
    }
  });

  it("does not start on a wrong configuration: a line for each problem, and exit code 78", async () => {
    const env = {
      PORT: "http",
      PING_INTERVAL_MS: "-1",
      REDIS_URL: "redis:/:sesame-hush-hush@x",
      NODE_ENV: "production",
    };
    const { code, stdout, stderr } = await runCli(["serve"], env);
    expect(code).toBe(78);
    expect(stdout).toBe("");
    const lines = stderr.trim().split("\n");
    expect(lines.map((line) => line.split(":").slice(0, 2).join(":"))).toEqual([
      "belfry: PORT",
      "belfry: REDIS_URL",
      "belfry: PING_INTERVAL_MS",
      "belfry: AUTH_MODE",
      "belfry: API_KEYS",
    ]);
    expect(stderr).not.toContain("sesame");
  });

  it("does not start with certificates that it cannot serve, and says which file is wrong", async () => {
    const file = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url));
    const starts: [Record<string, string>, string][] = [
      [{ TLS_CERT: file("cert.pem") }, "TLS_KEY: is unset, but TLS_CERT is set; TLS takes both"],
      [{ TLS_CERT: file("key.pem"), TLS_KEY: file("key.pem") }, `TLS_CERT: "${file("key.pem")}" is not a certificate`],
      [{ TLS_CERT: file("cert.pem"), TLS_KEY: file("renewed-key.pem") }, "is not the key of the certificate"],
      [{ TLS_CERT: "/nowhere.pem", TLS_KEY: "/" }, 'TLS_CERT: "/nowhere.pem" cannot be read (ENOENT)\n'],
      [{ TLS_CERT: "/nowhere.pem", TLS_KEY: "/", PORT: "http" }, 'TLS_KEY: "/" cannot be read (EISDIR)\n'],
    ];
    for (const [env, problem] of starts) {
      const { code, stderr } = await runCli(["serve"], env);
      expect(code).toBe(78);
      expect(stderr).toContain(`belfry: `);
      expect(stderr).toContain(problem);
    }
  });

  it("starts in production when it is told that being open is meant", async () => {
    const { call } = await startProcess({ NODE_ENV: "production", ALLOW_INSECURE: "true" });
    expect((await call("GET", "/readyz")).status).toBe(200);
  });

  it("ends with 1 and a reason when its port is taken", async () => {
    const { port } = await startProcess();
    const { code, stdout } = await runCli(["serve"], { PORT: String(port), HOST: "127.0.0.1" });
    expect(code).toBe(1);
    expect(stdout).toContain("EADDRINUSE");
  });

  it("names an unknown command and ends with 1", async () => {
    const { code, stderr } = await runCli(["server"]);
    expect(code).toBe(1);
    expect(stderr).toContain("serve");
  });
});

describe("SIGTERM", () => {
  it("closes 200 connections with 1001 spread over the window, serves publishes to the end, and exits with 0 in time", async () => {
    const drainTimeoutMs = 2000;
    const shared = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: uniquePrefix() };
    const leaving = await startProcess({ ...shared, DRAIN_TIMEOUT_MS: String(drainTimeoutMs) });
    const staying = await startProcess(shared);
    for (const { call } of [leaving, staying]) await until(async () => (await call("GET", "/readyz")).status === 200);
    const witness = await TestClient.welcomed(staying.port, "witness");
    const clients = await Promise.all(
      Array.from({ length: 200 }, (_, n) => TestClient.welcomed(leaving.port, `user${n}`)),
    );
    const closedAt: number[] = [];
    const closes = clients.map(async ({ closed }) => {
      const close = await closed;
      closedAt.push(performance.now());
      return close;
    });

    const accepted: string[] = [];
    let stop = false;
    const publishers = Array.from({ length: 4 }, async () => {
      for (let n = 0; !stop && n < 20_000; n++) {
        const answer = await leaving.call("POST", "/broadcast", { data: n }).catch(() => undefined);
        if (answer?.status === 202) accepted.push(answer.json.id);
        else return;
      }
    });
    await until(() => accepted.length > 100);
    const before = accepted.length;
    const start = performance.now();
    leaving.child.kill("SIGTERM");
    await until(async () => (await leaving.call("GET", "/readyz")).status === 503);
    const refused = await refusedUpgrade(leaving.port, "late");
    expect([refused.status, refused.headers["retry-after"]]).toEqual([503, "2"]);

    const reasons = await Promise.all(closes);
    expect(await leaving.exited).toBe(0);
    expect(performance.now() - start).toBeLessThan(drainTimeoutMs + 500);
    stop = true;
    await Promise.all(publishers);
    expect(new Set(reasons.map(({ code, reason }) => `${code} ${reason}`))).toEqual(
      new Set([`1001 ${drainTimeoutMs}`]),
    );

    // Spread: in each fifth of the window, up to the part kept for answers, a fair share of the 200 closes.
    const fifths = [0, 0, 0, 0, 0];
    for (const at of closedAt) {
      const fifth = Math.min(4, Math.floor(((at - start) / drainTimeoutMs) * 5));
      fifths[fifth] = (fifths[fifth] ?? 0) + 1;
    }
    for (const count of fifths) expect(count).toBeGreaterThanOrEqual(10);
    expect(Math.max(...fifths)).toBeLessThanOrEqual(70);

    expect(accepted.length).toBeGreaterThan(before);
    const seen = new Set((await witness.take(accepted.length)).map(({ id }) => id));
    expect(accepted.filter((id) => !seen.has(id))).toEqual([]);
  });

  it("lets a request under way come to its end", async () => {
    const { child, port, exited, call } = await startProcess({ DRAIN_TIMEOUT_MS: "1000" });
    const socket = connect(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("error", () => {});
    socket.write(
      "POST /broadcast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
        "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    );
    await until(() => answer.includes("100 Continue"));
    child.kill("SIGTERM");
    await until(async () => (await call("GET", "/readyz").catch(() => undefined))?.status !== 200);
    socket.write('{"data":1}');
    await once(socket, "close");
    expect(await exited).toBe(0);
    expect(answer).toContain("HTTP/1.1 202 ");
  });

  it("ends with 0 when it comes as soon as the port is open", async () => {
    const { child, exited } = await startProcess({ LOG_LEVEL: "info" });
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  });

  it("does not wait for connections that have said nothing", async () => {
    const { child, port, exited } = await startProcess({ DRAIN_TIMEOUT_MS: "30000" });
    const socket = connect(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    child.kill("SIGTERM");
    const start = performance.now();
    expect(await exited).toBe(0);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it("ends at once when nobody is connected", async () => {
    const { child, exited } = await startProcess({ DRAIN_TIMEOUT_MS: "30000" });
    const start = performance.now();
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it("cuts in time a client that does not answer the close frame", async () => {
    const { child, port, exited } = await startProcess({ DRAIN_TIMEOUT_MS: "500" });
    const client = await TestClient.welcomed(port, "alice");
    client.ws.pause();
    child.kill("SIGTERM");
    const start = performance.now();
    expect(await exited).toBe(0);
    expect(performance.now() - start).toBeLessThan(3000);
  });
});

describe("SIGINT", () => {
  it("closes the connections at once and exits with 0", async () => {
    const { child, port, exited } = await startProcess();
    const client = await TestClient.welcomed(port, "alice");
    const start = performance.now();
    child.kill("SIGINT");
    expect((await client.closed).code).toBe(1001);
    expect(await exited).toBe(0);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
