import { readFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { createServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { expect, inject, it, onTestFinished } from "vitest";
import { startProcess } from "../support/process.ts";
import { uniquePrefix, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const certificate = fileURLToPath(new URL("../support/tls/cert.pem", import.meta.url));
const key = new URL("../support/tls/key.pem", import.meta.url);

/** Starts TLS in front of the tests' Redis and says where. */
async function startTls(): Promise<string> {
  const { hostname, port } = new URL(inject("redisUrl"));
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (socket) => {
    const target = connect(Number(port || 6379), hostname);
    socket.pipe(target).pipe(socket);
    socket.on("error", () => target.destroy());
    target.on("error", () => socket.destroy());
    onTestFinished(() => void socket.destroy());
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `rediss://localhost:${(server.address() as AddressInfo).port}`;
}

it("reaches Redis over TLS when it trusts the certificate", async () => {
  const env = { REDIS_URL: await startTls(), REDIS_PREFIX: uniquePrefix(), NODE_EXTRA_CA_CERTS: certificate };
  const { call, port } = await startProcess(env);
  await until(async () => (await call("GET", "/readyz")).status === 200);
  const client = await TestClient.welcomed(port, "alice");
  expect((await call("POST", "/users/alice/messages", { data: 1 })).status).toBe(202);
  expect(await client.next()).toMatchObject({ data: 1 });
});

it("does not talk to a Redis whose certificate it does not trust, and logs why", async () => {
  const { call, logs } = await startProcess({ REDIS_URL: await startTls(), REDIS_PREFIX: uniquePrefix() });
  await until(() => logs.some((line) => line.includes("self-signed certificate")));
  expect((await call("GET", "/readyz")).status).toBe(503);
});
