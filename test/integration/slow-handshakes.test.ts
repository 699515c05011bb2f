import { connect, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { startService, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

/** Sockets that never finish a request. */
const slowSockets = 1000;

/** Time for which they may try, in ms. */
const handshakeTimeoutMs = 3000;

/** Longest wait of a good client for its welcome or a message, in ms. */
const patienceMs = 500;

it("1,000 slow handshakes do not keep good clients out, and are all cut in the end", { timeout: 30_000 }, async () => {
  const { port, call, belfry, metric } = await startService({ handshakeTimeoutMs });
  const slow = new Set<Socket>();
  for (let n = 0; n < slowSockets; n++) {
    const socket = connect(port, "127.0.0.1")
      .on("error", () => {})
      .resume();
    slow.add(socket);
    socket.on("close", () => slow.delete(socket));
    // Every other one says nothing at all.
    if (n % 2 === 0) socket.write("GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  }
  const drip = setInterval(() => {
    for (const socket of slow) if (socket.bytesWritten > 0) socket.write("x");
  }, 200);
  onTestFinished(() => {
    clearInterval(drip);
    for (const socket of slow) socket.destroy();
  });
  await until(() => [...slow].every(({ connecting }) => !connecting));

  const waits: number[] = [];
  const timed = async <T>(work: Promise<T>) => {
    const start = performance.now();
    const result = await work;
    waits.push(performance.now() - start);
    return result;
  };
  const all = slow.size;
  while (slow.size === all) {
    const client = await timed(TestClient.welcomed(port, "alice"));
    expect((await timed(call("POST", "/users/alice/messages", { data: 1 }))).status).toBe(202);
    expect(await timed(client.next())).toMatchObject({ scope: "user", data: 1 });
    client.ws.close();
    await client.closed;
  }
  expect(all).toBe(slowSockets);
  expect(waits.length).toBeGreaterThan(30);
  expect(Math.max(...waits)).toBeLessThan(patienceMs);

  await until(() => slow.size === 0, handshakeTimeoutMs);
  await until(() => belfry.hub.size === 0);
  expect(await metric('belfry_dropped_connections_total{reason="refused_timeout"}')).toBe(slowSockets);
});
