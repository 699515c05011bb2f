import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { runCli, startProcess } from "../support/process.ts";
import { hush } from "../support/secrets.ts";

const key = hush("sesame");

/** Runs `belfry bench` and reads its line of JSON, where there is one. */
async function runBench(port: number, args: readonly string[], env: Record<string, string> = {}, fileLimit?: number) {
  const { code, stdout, stderr } = await runCli(["bench", "--url", `ws://127.0.0.1:${port}`, ...args], env, fileLimit);
  return { code, stderr, report: stdout === "" ? undefined : JSON.parse(stdout) };
}

/** A server that answers every publish with 202 and sends to all but the first client, then maybe closes it. */
async function startLosing({ closes }: { closes: boolean }): Promise<number> {
  const clients = new Set<WebSocket>();
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const [first, ...others] = clients;
    for (const client of others) client.send(body);
    if (closes) first?.close(4408);
    response.writeHead(202).end("{}");
  });
  new WebSocketServer({ server, handleProtocols: (offered) => [...offered][0] ?? false }).on("connection", (client) => {
    clients.add(client);
    client.send('{"type":"welcome"}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const client of clients) client.terminate();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe("belfry bench", () => {
  it("counts every message to everyone", async () => {
    const { port } = await startProcess({ API_KEYS: key });
    const args = ["--connections", "20", "--publishers", "3", "--messages", "50"];
    const { code, report } = await runBench(port, args, { BELFRY_API_KEY: key });
    expect(report).toMatchObject({
      accepted: 50,
      deliveries: 1000,
      lost: 0,
      extra: 0,
      refused: 0,
      statuses: { 202: 50 },
    });
    expect(report.latencyMs.p50).toBeGreaterThan(0);
    expect(JSON.stringify(report)).not.toContain(key);
    expect(code).toBe(0);
  });

  it.each([
    ["in bursts", ["--burst", "10"]],
    ["in batches", ["--batch", "10"]],
    ["in bursts of batches", ["--burst", "2", "--batch", "5"]],
    ["at a rate", ["--rate", "500"]],
  ])("counts messages to one user each, %s", async (_, how) => {
    const { port } = await startProcess();
    const { code, report } = await runBench(port, ["--connections", "7", "--to", "user", "--messages", "100", ...how]);
    expect(report).toMatchObject({ accepted: 100, deliveries: 100, lost: 0, extra: 0, late: 0 });
    expect(code).toBe(0);
  });

  it("publishes for a time", async () => {
    const { port } = await startProcess();
    const { code, report } = await runBench(port, ["--connections", "5", "--seconds", "0.3"]);
    expect(report.seconds).toBeGreaterThan(0.2);
    expect(report.deliveries).toBe(5 * report.accepted);
    expect(code).toBe(0);
  });

  it("reports what a server loses, and ends with 1", async () => {
    const port = await startLosing({ closes: false });
    const { code, report } = await runBench(port, ["--connections", "4", "--messages", "10"]);
    expect(report).toMatchObject({ accepted: 10, deliveries: 30, lost: 10 });
    expect(code).toBe(1);
  });

  it("reports whom a server closes, and ends with 1", async () => {
    const port = await startLosing({ closes: true });
    const { code, report } = await runBench(port, ["--connections", "4", "--messages", "10"]);
    expect(report).toMatchObject({ lost: 10, closes: { 4408: 1 } });
    expect(code).toBe(1);
  });

  it("stops early where everything is refused, and ends with 1", async () => {
    const { port } = await startProcess({ API_KEYS: key });
    const { code, report } = await runBench(port, ["--connections", "2", "--seconds", "60"]);
    expect(report).toMatchObject({ accepted: 0, statuses: { 401: 100 } });
    expect(code).toBe(1);
  });

  it("says what to do when it cannot be done, and ends with 1", async () => {
    const { port } = await startProcess({ MAX_CONNECTIONS: "3" });
    for (const [args, words] of [
      [
        ["--connections", "4"],
        ["503", "MAX_CONNECTIONS"],
      ],
      [["--connections", "2", "--compression"], ["permessage-deflate"]],
      [
        ["--url", "ws://127.0.0.1:1"],
        ["ECONNREFUSED", "--url"],
      ],
      [
        ["--url", "ws://192.0.2.1"],
        ["not on this machine", "--yes"],
      ],
      [["--url", "wss://localhost"], ["ws://localhost:8080"]],
      [["--size", "1"], ["65"]],
    ] as const) {
      const { code, stderr, report } = await runBench(port, args);
      expect([code, report]).toEqual([1, undefined]);
      for (const word of words) expect(stderr).toContain(word);
      expect(stderr).not.toContain("    at ");
    }
  });

  it("looks at the limit of open files before it connects", async () => {
    const { code, stderr } = await runBench(1, ["--connections", "300"], {}, 256);
    expect(stderr).toContain("more than the 256 files that a process may open here (ulimit -Hn)");
    expect(code).toBe(1);
  });
});
