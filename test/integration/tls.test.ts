import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { ConfigError } from "../../src/config.ts";
import { dripping } from "../support/raw-tcp.ts";
import { startService, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const file = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url));
const tls = { tlsCert: file("cert.pem"), tlsKey: file("key.pem") };
const ca = [readFileSync(file("cert.pem")), readFileSync(file("renewed-cert.pem"))];

/** A request over TLS: a POST when there is a body. */
async function call(port: number, path: string, body?: unknown): Promise<{ status: number; text: string }> {
  const method = body === undefined ? "GET" : "POST";
  const headers = { "content-type": "application/json" };
  const sent = request({ host: "127.0.0.1", port, path, method, ca, headers, agent: false });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = (await once(sent, "response")) as [import("node:http").IncomingMessage];
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode ?? 0, text };
}

/** Copies of a certificate and its key, in a directory of their own. */
function copied(): { tlsCert: string; tlsKey: string } {
  const directory = mkdtempSync(join(tmpdir(), "belfry-tls-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const copies = { tlsCert: join(directory, "tls.crt"), tlsKey: join(directory, "tls.key") };
  copyFileSync(tls.tlsCert, copies.tlsCert);
  copyFileSync(tls.tlsKey, copies.tlsKey);
  return copies;
}

async function handshake(port: number, options: object = {}): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, ca, ...options });
  onTestFinished(() => void socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

/** Announces a TLS record of 256 bytes. */
const recordHead = Buffer.from([0x16, 3, 1, 1, 0]);

/** Which certificate is served to whoever connects now. */
async function servedAt(port: number): Promise<string> {
  const { fingerprint256 } = (await handshake(port)).getPeerCertificate();
  return fingerprint256;
}

const fingerprint = (name: string) => new X509Certificate(readFileSync(file(name))).fingerprint256;

describe("with TLS_CERT and TLS_KEY", () => {
  it("serves clients and publishers over TLS", async () => {
    const { port } = await startService(tls);
    // More than one: others than the server itself take connections too.
    const clients = await Promise.all(Array.from({ length: 40 }, () => TestClient.welcomed(port, "alice", { ca })));
    const { status, text } = await call(port, "/users/alice/messages", { data: { n: 1 } });
    expect([status, JSON.parse(text).receivers]).toEqual([202, 40]);
    for (const client of clients) expect(await client.next()).toMatchObject({ scope: "user", data: { n: 1 } });
  });

  it("carries large messages to clients that are slow to read them", async () => {
    const { port } = await startService({ ...tls, sendBufferBytes: 8 * 1024 * 1024 });
    const client = await TestClient.welcomed(port, "alice", { ca });
    client.ws.pause();
    const data = "x".repeat(60_000);
    for (let n = 0; n < 100; n++) await call(port, "/users/alice/messages", { data, event: String(n) });
    client.ws.resume();
    const frames = await client.take(100);
    expect(frames.map(({ event }) => event)).toEqual(Array.from({ length: 100 }, (_, n) => String(n)));
  });

  it("serves the API's own port over TLS too", async () => {
    const { belfry } = await startService({ ...tls, apiPort: 0 });
    expect((await call(belfry.apiPort ?? 0, "/broadcast", { data: 1 })).status).toBe(202);
    expect((await call(belfry.port ?? 0, "/broadcast", { data: 1 })).status).toBe(404);
  });

  it("speaks TLS 1.2 and 1.3, and nothing older", async () => {
    const { port } = await startService(tls);
    expect((await handshake(port)).getProtocol()).toBe("TLSv1.3");
    expect((await handshake(port, { maxVersion: "TLSv1.2" })).getProtocol()).toBe("TLSv1.2");
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" };
    await expect(handshake(port, old)).rejects.toThrow();
  });

  it("cuts handshakes that are silent or slow after HANDSHAKE_TIMEOUT_MS, and serves others meanwhile", async () => {
    const { port, belfry, logs } = await startService({ ...tls, apiPort: 0, handshakeTimeoutMs: 300 });
    // The length of a record comes first; of what it announces, one of them sends a byte at a time.
    const slow = [port, belfry.apiPort ?? 0].flatMap((one) => [dripping(one), dripping(one, recordHead, "x")]);
    await TestClient.welcomed(port, "alice", { ca });
    for (const durationMs of await Promise.all(slow)) expect(durationMs).toBeLessThan(3000);
    expect(logs.filter((line) => !/"level":(20|30)/.test(line))).toEqual([]);
  });

  it("lets go at once of those who leave in the middle of a handshake", async () => {
    const { port } = await startService({ ...tls, handshakeTimeoutMs: 60_000 });
    const left = Array.from({ length: 40 }, async () => {
      const socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => {});
      onTestFinished(() => void socket.destroy());
      socket.resume().end(recordHead);
      await new Promise((resolve) => socket.on("close", resolve));
    });
    await Promise.all(left);
  });

  it("cuts whoever is silent after the handshake, with an answer", async () => {
    const { port } = await startService({ ...tls, handshakeTimeoutMs: 300 });
    const socket = await handshake(port);
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(String(answer)).toMatch(/^HTTP\/1.1 408 /);
  });

  it("closes in time although somebody is in the middle of a handshake, or silent behind it", async () => {
    const { port, belfry } = await startService({ ...tls, handshakeTimeoutMs: 60_000 });
    const socket = connectTcp(port, "127.0.0.1").on("error", () => {});
    onTestFinished(() => void socket.destroy());
    socket.write(recordHead);
    await handshake(port);
    const start = performance.now();
    await belfry.close();
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it("lives on when it is sent garbage or plain HTTP, and counts it", async () => {
    const { port, logs } = await startService(tls);
    await dripping(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await dripping(port, "\x00\xff garbage \x17\x03\x03");
    await TestClient.welcomed(port, "alice", { ca });
    expect(logs.filter((line) => !/"level":(20|30)/.test(line))).toEqual([]);
    const { text } = await call(port, "/metrics");
    expect(text).toContain('belfry_dropped_connections_total{reason="refused_tls"} 2\n');
  });
});

describe("new files", () => {
  it("are served to those who connect from then on, without a restart", async () => {
    const copies = copied();
    const { port, logs } = await startService(copies);
    const client = await TestClient.welcomed(port, "alice", { ca });
    expect(await servedAt(port)).toBe(fingerprint("cert.pem"));

    copyFileSync(file("renewed-cert.pem"), copies.tlsCert);
    await until(() => logs.some((line) => line.includes("is not the key of the certificate")));
    expect(await servedAt(port)).toBe(fingerprint("cert.pem"));

    copyFileSync(file("renewed-key.pem"), copies.tlsKey);
    await until(async () => (await servedAt(port)) === fingerprint("renewed-cert.pem"));
    expect((await call(port, "/users/alice/messages", { data: 1 })).status).toBe(202);
    expect(await client.next()).toMatchObject({ data: 1 });
  });

  it("that cannot be served change nothing, and are logged", async () => {
    const copies = copied();
    const { port, logs } = await startService(copies);
    writeFileSync(copies.tlsCert, "nonsense");
    await until(() => logs.some((line) => line.includes("is not a certificate in PEM format")));
    rmSync(copies.tlsKey);
    await until(() => logs.some((line) => line.includes("cannot be read (ENOENT)")));
    expect(await servedAt(port)).toBe(fingerprint("cert.pem"));
    expect(logs.join("")).not.toContain("PRIVATE KEY");
  });
});

it("does not start with a key that today's OpenSSL calls too short, and says so", async () => {
  const weak = { tlsCert: file("weak-cert.pem"), tlsKey: file("weak-key.pem") };
  const problem = `TLS_CERT: "${weak.tlsCert}" cannot be used: ee key too small`;
  await expect(startService(weak)).rejects.toThrow(new ConfigError([problem]));
});

it("does not start with one of the two, or with files that do not go together", async () => {
  for (const options of [
    { tlsCert: tls.tlsCert },
    { tlsKey: tls.tlsKey },
    { ...tls, tlsKey: file("renewed-key.pem") },
  ]) {
    await expect(startService(options)).rejects.toThrow(ConfigError);
  }
});
