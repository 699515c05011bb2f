import { describe, expect, it, vi } from "vitest";
import type { Message } from "../../../src/broker/broker.ts";
import { Delivery, type Encode, pieceOf } from "../../../src/hub/delivery.ts";
import { keepsUp, Outbox } from "../../../src/hub/outbox.ts";
import { broadcastStream, topicStream } from "../../../src/protocol/streams.ts";
import { liveMessage, settled } from "../../support/fake-broker.ts";
import { SlowOutlet } from "../../support/slow-outlet.ts";

const encode: Encode = (messages) => Buffer.concat(messages.map(({ body }) => body));

/** A message of ten bytes that begins with the name. */
const message = (name: string, changes: Partial<Message> = {}): Message => ({
  ...liveMessage(broadcastStream),
  body: Buffer.from(name.padEnd(10, ".")),
  ...changes,
});

const pieces = (...messages: Message[]) => new Delivery(messages).piecesBy(encode);

/** An outbox in front of an outlet in which something waits already. */
function open(sendBufferBytes = 1000) {
  const outlet = new SlowOutlet();
  const [onDropped, onEmpty] = [vi.fn<(reason: string) => void>(), vi.fn<() => void>()];
  outlet.write(Buffer.from("before"));
  const outbox = new Outbox(outlet, { sendBufferBytes, onDropped }, onEmpty);
  const read = async () => {
    await outlet.takeAll();
    return String(Buffer.concat(outlet.taken)).replaceAll(".", " ").trim().split(/ +/);
  };
  return { outlet, outbox, onDropped, onEmpty, read };
}

describe("what waits for a slow connection", () => {
  it("is written in order when the client reads on, and then nothing has to wait any more", async () => {
    const { outbox, outlet, onEmpty, onDropped, read } = open();
    outbox.add(pieces(message("a"), message("b")));
    outbox.add([pieceOf(Buffer.from("control   "))]);
    outbox.add(pieces(message("c")));
    await settled();
    expect([outlet.writableLength, outbox.bytes]).toEqual([6, 40]);
    expect(onEmpty).not.toHaveBeenCalled();
    expect(await read()).toEqual(["beforea", "b", "control", "c"]);
    expect(outbox.bytes).toBe(0);
    expect(onEmpty).toHaveBeenCalledOnce();
    expect(onDropped).not.toHaveBeenCalled();
  });

  it("is written a quarter of the send buffer ahead, since nothing written can be taken back", async () => {
    const { outbox, outlet } = open(200);
    for (let n = 0; n < 10; n++) outbox.add(pieces(message(`${n}`)));
    await outlet.take();
    await outlet.take();
    expect([outlet.writableLength, outbox.bytes]).toEqual([50, 50]);
  });

  it("of one collapse key is the newest alone, behind what came before it", async () => {
    const { outbox, onDropped, read } = open();
    const price = { collapse: "price" };
    outbox.add(pieces(message("old", price)));
    outbox.add(pieces(message("a"), message("older", price), message("b"), message("new", price)));
    outbox.add(pieces(message("c")));
    expect(outbox.bytes).toBe(40);
    expect(await read()).toEqual(["beforea", "b", "new", "c"]);
    expect(onDropped.mock.calls).toEqual([["collapsed"], ["collapsed"]]);
  });

  it("is not replaced by a message of another stream or with another key, however they are called", async () => {
    const { outbox, onDropped } = open();
    const all = [
      { stream: broadcastStream, collapse: "k" },
      { stream: topicStream("a"), collapse: "k" },
      { stream: topicStream("a"), collapse: 'b","k' },
      { stream: topicStream('a","b'), collapse: "k" },
      { stream: topicStream("a b"), collapse: "c" },
      { stream: topicStream("a"), collapse: "b c" },
    ];
    for (const changes of all) outbox.add(pieces(message("m", changes)));
    expect(outbox.bytes).toBe(10 * all.length);
    expect(onDropped).not.toHaveBeenCalled();
  });

  it("is not replaced any more when it was written", async () => {
    const { outbox, outlet, onDropped, read } = open(100);
    outbox.add(pieces(message("old", { collapse: "k" }), message("a"), message("b")));
    await outlet.take();
    await outlet.take();
    outbox.add(pieces(message("new", { collapse: "k" })));
    expect(await read()).toEqual(["beforeold", "a", "b", "new"]);
    expect(onDropped).not.toHaveBeenCalled();
  });

  it("is dropped when it has expired before it could be written", async () => {
    const now = vi.spyOn(Date, "now").mockReturnValue(1000);
    const { outbox, onDropped, read } = open();
    outbox.add(pieces(message("a", { expiresAtMs: 2000 }), message("b"), message("c", { expiresAtMs: 2001 })));
    now.mockReturnValue(2000);
    expect(await read()).toEqual(["beforeb", "c"]);
    expect(onDropped.mock.calls).toEqual([["expired"]]);
  });

  it("makes room by what has expired, and is too much when what still matters does not fit", () => {
    const now = vi.spyOn(Date, "now").mockReturnValue(1000);
    const { outbox } = open(56);
    const ten = (expiresAtMs: number) => outbox.add(pieces(message("m", { expiresAtMs })));
    expect([ten(3000), ten(2000), ten(0), ten(2500), ten(0)]).toEqual([true, true, true, true, true]);
    now.mockReturnValue(2000);
    expect(ten(0)).toBe(true);
    expect(outbox.bytes).toBe(50);
    now.mockReturnValue(2500);
    expect(ten(0)).toBe(true);
    expect(ten(0)).toBe(false);
  });

  it("is written at once when the connection is to be closed, but for what has expired", () => {
    vi.spyOn(Date, "now").mockReturnValue(1000);
    const { outbox, outlet } = open(100);
    outbox.add(pieces(message("a"), message("b", { expiresAtMs: 1000 }), message("c")));
    outbox.flush();
    expect([outlet.writableLength, outbox.bytes]).toEqual([26, 0]);
  });

  it("is let go when the outlet has ended", async () => {
    const { outbox, outlet, onEmpty } = open();
    outlet.on("error", () => {});
    outbox.add(pieces(message("a")));
    outlet.destroy();
    await settled();
    await settled();
    outbox.clear();
    expect(outbox.bytes).toBe(0);
    expect(onEmpty).not.toHaveBeenCalled();
    expect(outlet.taken).toEqual([]);
  });
});

describe("an outlet", () => {
  it.each([
    [0, 10_000_000, true],
    [1, 65_535, true],
    [1, 65_536, false],
    [65_536, 1, false],
  ])("with %d bytes waiting and %d to come is written to directly: %s", (writableLength, bytes, expected) => {
    expect(keepsUp({ writableLength } as SlowOutlet, bytes, 1024 * 1024)).toBe(expected);
  });

  it("takes no more than a quarter of a small send buffer ahead", () => {
    const at = (writableLength: number) => keepsUp({ writableLength } as SlowOutlet, 10, 100);
    expect([at(0), at(15), at(16)]).toEqual([true, true, false]);
  });
});
