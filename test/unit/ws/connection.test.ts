import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import type { ConnectionContext } from "../../../src/client-connection.ts";
import { Delivery } from "../../../src/hub/delivery.ts";
import { frameError } from "../../../src/protocol/frames.ts";
import { userStream } from "../../../src/protocol/streams.ts";
import { type ConnectionSocket, WsConnection } from "../../../src/ws/connection.ts";
import { liveMessage, settled } from "../../support/fake-broker.ts";
import { jsonOfFrames, SlowOutlet } from "../../support/slow-outlet.ts";

class FakeWs extends EventEmitter {
  readonly readyState = 1;
  readonly extensions = "";
  readonly close = vi.fn<(code: number, reason: Buffer) => void>();
  readonly ping = vi.fn();
  readonly pong = vi.fn();
  readonly terminate = vi.fn();
}

function connect(changes: Partial<ConnectionContext> = {}) {
  const [ws, socket] = [new FakeWs(), new SlowOutlet()];
  const onGone = vi.fn<ConnectionContext["onGone"]>();
  const onFrame = vi.fn<ConnectionContext["onFrame"]>(async () => undefined);
  const onDropped = vi.fn<ConnectionContext["onDropped"]>();
  const limits = { sendBufferBytes: 1000, maxClientFramesPerSecond: 50, pingIntervalMs: 25_000 };
  const connection = new WsConnection(
    ws as unknown as ConnectionSocket,
    socket as unknown as Duplex,
    { user: "alice" },
    "192.0.2.1",
    { ...limits, onDropped, onGone, onFrame, ...changes },
  );
  const receive = (text: string) => connection.receive(Buffer.from(text), false);
  /** What the client has got when it has read everything that waits for it. */
  const read = async () => {
    await socket.takeAll();
    return jsonOfFrames(Buffer.concat(socket.taken));
  };
  return { connection, ws, socket, onDropped, onGone, onFrame, receive, read };
}

const closes = (ws: FakeWs) => ws.close.mock.calls.map(([code, reason]) => [code, String(reason)]);
const message = (bytes: number) =>
  new Delivery([{ ...liveMessage(userStream("alice")), body: Buffer.from(`"data":"${"x".repeat(bytes)}"}`) }]);
/** A message of 400 bytes and some. */
const price = (n: number) =>
  new Delivery([
    {
      ...liveMessage(userStream("alice")),
      collapse: "price",
      body: Buffer.from(`"n":${n},"data":"${"x".repeat(400)}"}`),
    },
  ]);

describe("a connection", () => {
  it("closes once, with code and reason, and reports it before", () => {
    const { connection, ws, onGone } = connect();
    onGone.mockImplementation(() => expect(ws.close).not.toHaveBeenCalled());
    connection.close("replaced");
    connection.close("forbidden");
    connection.terminate();
    expect(closes(ws)).toEqual([[4409, "replaced by a newer connection of the user"]]);
    expect(onGone.mock.calls).toEqual([[connection, "replaced"]]);
  });

  it.each([
    ["x".repeat(123), 123],
    ["x".repeat(124), 123],
    ["ü".repeat(62), 122],
    ["😀".repeat(31), 120],
    [`${"x".repeat(120)}😀`, 120],
    [`${"x".repeat(119)}😀y`, 123],
    ["", 0],
  ])("cuts a reason to 123 bytes without breaking a character (%#)", (reason, bytes) => {
    const { connection, ws } = connect();
    connection.close("forbidden", reason);
    const sent = ws.close.mock.calls[0]?.[1] ?? Buffer.alloc(0);
    expect(sent.length).toBe(bytes);
    expect(reason.startsWith(new TextDecoder("utf-8", { fatal: true }).decode(sent))).toBe(true);
  });

  it("sends nothing any more when it is closed", async () => {
    const { connection, read } = connect();
    connection.close("going_away", "0");
    expect(connection.deliver(message(10))).toBe(false);
    connection.welcome({ positions: { broadcast: "b-e1-0" }, recovered: {} });
    expect(await read()).toEqual([]);
  });

  it("welcomes its client", async () => {
    const { connection, read } = connect();
    const positions = { broadcast: "b-e1-1", user: "u-e1-2" };
    connection.welcome({ positions, recovered: {} });
    const frame = { type: "welcome", connection: connection.id, user: "alice", positions, heartbeat: 25_000 };
    expect(await read()).toMatchObject([frame]);
  });
});

describe("the send buffer", () => {
  it("takes frames as long as they fit, and closes as slow with the first that does not", async () => {
    const { connection, ws, socket, onGone, read } = connect();
    expect([connection.deliver(message(400)), connection.deliver(message(400))]).toEqual([true, true]);
    expect(connection.deliver(message(400))).toBe(false);
    expect(closes(ws)[0]?.[0]).toBe(4408);
    expect(onGone.mock.calls).toEqual([[connection, "slow_consumer"]]);
    const { writableLength } = socket;
    expect(await read()).toHaveLength(1);
    expect(writableLength).toBeLessThan(500);
  });

  it("takes a frame of any size when nothing waits", async () => {
    const { connection, socket } = connect();
    expect(connection.deliver(message(5000))).toBe(true);
    await socket.takeAll();
    expect(connection.deliver(message(5000))).toBe(true);
    expect(connection.deliver(message(1))).toBe(false);
  });

  it.each([0, 1])("is filled exactly (%d more)", (more) => {
    const { connection, socket } = connect();
    connection.deliver(message(1));
    // The header of a longer frame has two bytes more.
    const rest = 1000 - 3 * socket.writableLength - 2;
    expect(connection.deliver(message(1 + rest + more))).toBe(true);
    expect(connection.deliver(message(1))).toBe(more === 0);
  });

  it("holds of the messages with one collapse key the newest, beside those that were written before", async () => {
    const { connection, ws, onDropped, read } = connect();
    for (let n = 1; n <= 100; n++) expect(connection.deliver(price(n))).toBe(true);
    expect(closes(ws)).toEqual([]);
    expect((await read()).map(({ n }) => n)).toEqual([1, 100]);
    expect(onDropped.mock.calls).toEqual(Array.from({ length: 98 }, () => ["collapsed"]));
    expect(connection.deliver(price(101))).toBe(true);
    expect((await read()).map(({ n }) => n)).toEqual([1, 100, 101]);
  });

  it("keeps frames that are no messages in their place", async () => {
    const { connection, read } = connect({ sendBufferBytes: 100_000 });
    for (let n = 1; n <= 3; n++) {
      connection.deliver(message(20_000));
      connection.send(frameError("unsupported", "no", n));
    }
    expect((await read()).map(({ type, ref }) => ref ?? type)).toEqual(["message", 1, "message", 2, "message", 3]);
  });

  it("is written to the end before a close that is not for its size", async () => {
    const { connection, ws, socket, read } = connect();
    connection.deliver(message(400));
    connection.deliver(message(400));
    ws.close.mockImplementation(() => expect(socket.writableLength).toBeGreaterThan(800));
    connection.close("going_away", "0");
    expect(await read()).toHaveLength(2);
    expect(ws.close).toHaveBeenCalledOnce();
  });

  it("paces history by what waits before the socket too", async () => {
    const { connection, socket } = connect({ sendBufferBytes: 2000 });
    const history = message(400);
    for (let n = 0; n < 2; n++) {
      expect(connection.pace(history)).toBeUndefined();
      connection.deliver(history);
    }
    const pace = connection.pace(history);
    expect(pace).toBeInstanceOf(Promise);
    await socket.takeAll();
    await pace;
    expect(connection.pace(history)).toBeUndefined();
  });
});

describe("frames of the client", () => {
  it("writes the answers to frames that came together at once", async () => {
    const { receive, socket } = connect();
    const writev = vi.spyOn(socket, "_writev");
    for (let n = 0; n < 3; n++) receive('{"type":"hello"}');
    await settled();
    expect(writev.mock.calls.map(([chunks]) => chunks.length)).toEqual([3]);
  });

  it("are passed on when they are well formed, and answered with what came of it", async () => {
    const { onFrame, connection, read, receive } = connect();
    receive('{"type":"ack","id":"b-e1-1"}');
    expect(onFrame).toHaveBeenCalledExactlyOnceWith(connection, { type: "ack", id: "b-e1-1" });
    expect(await read()).toEqual([]);
    onFrame.mockResolvedValueOnce(frameError("unsupported", "no", 7));
    receive('{"type":"message","data":1,"ref":7}');
    await settled();
    expect(await read()).toEqual([{ type: "error", code: "unsupported", detail: "no", ref: 7 }]);
  });

  it("close the connection when ten in a row are malformed, and not when a good one stands between", async () => {
    const { ws, read, receive } = connect({ sendBufferBytes: 100_000 });
    for (let n = 0; n < 9; n++) receive("?");
    receive('{"type":"ack","id":"x"}');
    for (let n = 0; n < 9; n++) receive('{"type":"hello"}');
    expect(await read()).toHaveLength(18);
    expect(closes(ws)).toEqual([]);
    receive("?");
    expect(closes(ws)).toEqual([[1008, "too many malformed frames in a row"]]);
  });

  it("close the connection when they are binary", () => {
    const { connection, ws, onFrame } = connect();
    connection.receive(Buffer.from('{"type":"ack","id":"x"}'), true);
    expect(closes(ws)[0]?.[0]).toBe(1003);
    expect(onFrame).not.toHaveBeenCalled();
  });

  it("close the connection when there are too many in a second", () => {
    const now = vi.spyOn(performance, "now").mockReturnValue(0);
    const { ws, receive } = connect({ maxClientFramesPerSecond: 3 });
    for (let n = 0; n < 3; n++) receive('{"type":"ack","id":"x"}');
    now.mockReturnValue(1000);
    for (let n = 0; n < 3; n++) receive('{"type":"ack","id":"x"}');
    expect(closes(ws)).toEqual([]);
    receive('{"type":"ack","id":"x"}');
    expect(closes(ws)).toEqual([[4429, "more than 3 frames a second"]]);
  });
});

describe("the end of the socket", () => {
  it.each([
    ["client", "close", undefined],
    ["client", "error", Object.assign(new Error(), { code: "ECONNRESET" })],
    ["protocol_error", "error", Object.assign(new Error(), { code: "WS_ERR_INVALID_UTF8" })],
  ])("is reported once, as %s after %s", (cause, event, error) => {
    const { connection, ws, onGone } = connect();
    ws.emit(event, error);
    ws.emit("close");
    expect(onGone.mock.calls).toEqual([[connection, cause]]);
  });

  it("by the heartbeat is reported as such", () => {
    const { connection, ws, onGone } = connect();
    connection.terminate();
    ws.emit("close");
    expect(onGone.mock.calls).toEqual([[connection, "heartbeat"]]);
    expect(ws.terminate).toHaveBeenCalledOnce();
  });

  it("is far as long as anything comes", () => {
    const now = vi.spyOn(performance, "now").mockReturnValue(0);
    const { connection, ws, receive } = connect();
    const seen = (nowMs: number, work: () => void) => {
      now.mockReturnValue(nowMs);
      work();
      return connection.lastSeenMs;
    };
    expect(seen(1, () => ws.emit("pong"))).toBe(1);
    expect(seen(2, () => ws.emit("ping"))).toBe(2);
    expect(seen(3, () => receive("?"))).toBe(3);
    expect(seen(4, () => ws.emit("message", Buffer.from("?"), false))).toBe(4);
  });

  it("does not come from pongs that answer pings, and does from those that nobody asked for", () => {
    vi.spyOn(performance, "now").mockReturnValue(0);
    const { connection, ws } = connect({ maxClientFramesPerSecond: 1 });
    for (let n = 0; n < 10; n++) {
      connection.ping();
      ws.emit("pong");
    }
    ws.emit("pong");
    expect(closes(ws)).toEqual([]);
    ws.emit("pong");
    expect(closes(ws)).toEqual([[4429, "more than 1 frames a second"]]);
  });
});
