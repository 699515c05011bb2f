import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { Delivery } from "../../../src/hub/delivery.ts";
import { userStream } from "../../../src/protocol/streams.ts";
import { SseConnection, type SseContext } from "../../../src/sse/connection.ts";
import { EventReader, type StreamEvent } from "../../support/event-reader.ts";
import { liveMessage } from "../../support/fake-broker.ts";
import { until } from "../../support/service.ts";

/** A connection of alice's over a real socket. */
async function open(changes: { sendBufferBytes?: number; stallTimeoutMs?: number } = {}) {
  const opened = Promise.withResolvers<{ connection: SseConnection; server: Socket }>();
  const context = {
    sendBufferBytes: 1_000_000,
    maxClientFramesPerSecond: 50,
    pingIntervalMs: 25_000,
    onGone: vi.fn<SseContext["onGone"]>(),
    onClosed: vi.fn<SseContext["onClosed"]>(),
    onFrame: vi.fn<SseContext["onFrame"]>(async () => undefined),
    ...changes,
  };
  const server = createServer((request, response) => {
    response.writeHead(200, { Connection: "close" });
    const connection = new SseConnection(response, request.socket, { user: "alice" }, "192.0.2.1", context);
    opened.resolve({ connection, server: request.socket });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
  onTestFinished(() => {
    server.close();
    client.destroy();
  });
  const events: StreamEvent[] = [];
  const reader = new EventReader((event) => events.push(event));
  // As HTTP/1.0 the body comes as it is, without chunks around it.
  let isBody = false;
  client.on("data", (piece: Buffer) => {
    const at = isBody ? 0 : piece.indexOf("\r\n\r\n") + 4;
    isBody = true;
    reader.read(piece.subarray(at));
  });
  client.write("GET / HTTP/1.0\r\n\r\n");
  return { ...context, ...(await opened.promise), client, events, reader };
}

const positions = { broadcast: "b-e1-1", user: "u-e1-2" };
const message = (bytes: number) =>
  new Delivery([{ ...liveMessage(userStream("alice")), body: Buffer.from(`"data":"${"x".repeat(bytes)}"}`) }]);

it("gives the position of each stream with each event, those of topics while they are subscribed to", async () => {
  const { connection, events } = await open();
  connection.welcome({ positions, recovered: {} });
  connection.send({ type: "subscribed", topic: "news", position: "t-e3-4" });
  const news = { ...liveMessage(userStream("alice")), id: "u-e1-3", position: { epoch: "e1", offset: 3 } };
  connection.deliver(new Delivery([news, liveMessage(userStream("alice"))]));
  connection.send({ type: "unsubscribed", topic: "news" });
  await until(() => events.length === 5);
  expect(events.map(({ lastEventId }) => lastEventId)).toEqual([
    "b-e1-1,u-e1-2",
    "b-e1-1,u-e1-2,t-e3-4",
    "b-e1-1,u-e1-3,t-e3-4",
    "b-e1-1,u-e1-3,t-e3-4",
    "b-e1-1,u-e1-3",
  ]);
});

it("gives back what the client has named of topics until it is known which of them are its user's", async () => {
  const { connection, events } = await open();
  connection.welcome({ positions, recovered: {}, topics: ["t-e3-4", "t-e4-9"] });
  connection.send({ type: "subscribed", topic: "news", position: "t-e3-4", recovered: true });
  connection.topicsApplied();
  connection.send({ type: "unsubscribed", topic: "other" });
  await until(() => events.length === 3);
  expect(events.map(({ lastEventId }) => lastEventId)).toEqual([
    "b-e1-1,u-e1-2,t-e3-4,t-e4-9",
    "b-e1-1,u-e1-2,t-e3-4,t-e4-9",
    "b-e1-1,u-e1-2,t-e3-4",
  ]);
});

it("closes once, with code and reason as its last event, and reports it before", async () => {
  const { connection, events, client, onGone, onClosed } = await open();
  connection.close("replaced");
  connection.close("forbidden");
  connection.welcome({ positions, recovered: {} });
  expect(connection.deliver(message(1))).toBe(false);
  expect(onGone.mock.calls).toEqual([[connection, "replaced"]]);
  await once(client, "close");
  const reason = "replaced by a newer connection of the user";
  expect(events).toEqual([{ type: "close", data: JSON.stringify({ code: 4409, reason }), lastEventId: "" }]);
  await until(() => onClosed.mock.calls.length === 1);
});

it("has what is written at once, so that nothing waits where the client reads", async () => {
  const { connection, server, onGone } = await open({ sendBufferBytes: 1000 });
  connection.welcome({ positions, recovered: {} });
  for (let n = 0; n < 10; n++) expect(connection.deliver(message(900))).toBe(true);
  expect(connection.deliver(message(50_000))).toBe(true);
  expect(server.writableLength).toBe(0);
  expect(onGone).not.toHaveBeenCalled();
});

it("closes as slow with the first event that does not fit, and is cut when its end is not read either", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { connection, client, server, onGone, onClosed } = await open();
  client.pause();
  let delivered = 0;
  while (connection.deliver(message(100_000))) delivered++;
  expect(delivered).toBeGreaterThan(5);
  expect(onGone.mock.calls).toEqual([[connection, "slow_consumer"]]);
  expect(server.writableLength).toBeGreaterThan(800_000);
  await vi.advanceTimersByTimeAsync(9900);
  expect([server.destroyed, onClosed.mock.calls.length]).toEqual([false, 0]);
  await vi.advanceTimersByTimeAsync(200);
  expect(server.destroyed).toBe(true);
  vi.useRealTimers();
  await until(() => onClosed.mock.calls.length === 1);
});

it("is cut when what waits is not read for too long, and not while it is pinged", async () => {
  const { connection, client, reader, onGone } = await open({ stallTimeoutMs: 300 });
  for (let n = 0; n < 12; n++) {
    connection.ping();
    await until(() => reader.comments.length > n);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(onGone).not.toHaveBeenCalled();
  client.pause();
  // More than the system takes.
  connection.deliver(message(20_000_000));
  const pinging = setInterval(() => connection.ping(), 20);
  onTestFinished(() => clearInterval(pinging));
  await until(() => onGone.mock.calls.length === 1);
  expect(onGone.mock.calls).toEqual([[connection, "heartbeat"]]);
});

it("survives what is written to a client that has just gone", async () => {
  const { connection, server, onGone } = await open();
  server.destroy();
  connection.welcome({ positions, recovered: {} });
  connection.deliver(message(10));
  await until(() => onGone.mock.calls.length === 1);
  expect(onGone.mock.calls).toEqual([[connection, "client"]]);
});

it("paces history by what the client has read", async () => {
  const { connection, client, server } = await open({ sendBufferBytes: 200_000 });
  client.pause();
  expect(connection.pace(message(300_000))).toBeUndefined();
  while (connection.pace(message(50_000)) === undefined) connection.deliver(message(50_000));
  expect(server.writableLength).toBeGreaterThan(50_000);
  const paced = connection.pace(message(50_000));
  client.resume();
  await paced;
  expect(connection.gone).toBe(false);
});
