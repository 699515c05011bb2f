import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it, vi } from "vitest";
import type { Message } from "../../../src/broker/broker.ts";
import { Delivery } from "../../../src/hub/delivery.ts";
import { broadcastStream } from "../../../src/protocol/streams.ts";
import { liveMessage } from "../../support/fake-broker.ts";

it("encodes a message once for each transport and shares the bytes", () => {
  const message = liveMessage(broadcastStream);
  const delivery = new Delivery([message]);
  const encode = vi.fn(([given]: readonly Message[]) => Buffer.from(given?.id ?? ""));
  const other = ([given]: readonly Message[]) => Buffer.from(`id: ${given?.id}`);
  const bytes = delivery.encodedBy(encode);
  expect(delivery.encodedBy(encode)).toBe(bytes);
  expect(encode).toHaveBeenCalledExactlyOnceWith([message]);
  expect(String(bytes)).toBe("l-fake-1");
  expect(String(delivery.encodedBy(other))).toBe("id: l-fake-1");
});

it("of a message alone is shared, and its bytes go when nobody has it any more, long before the message", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const message = liveMessage(broadcastStream);
  expect(Delivery.of(message)).toBe(Delivery.of(message));
  const bytes = new WeakRef(Delivery.of(message).encodedBy(() => Buffer.alloc(10)));
  // What was looked at in a turn is kept to its end.
  await turn();
  collect();
  expect(bytes.deref()).toBeUndefined();
  expect(message.body.length).toBeGreaterThan(0);
});

describe("what waits for slow connections", () => {
  const lengths = (delivery: Delivery) => delivery.piecesBy(encode).map(({ bytes }) => bytes.length);
  const encode = vi.fn((messages: readonly Message[]) => Buffer.alloc(10 * messages.length));
  const plain = liveMessage(broadcastStream);

  it("is a delivery as a whole when all of it matters until it is written", () => {
    const delivery = new Delivery([plain, plain]);
    expect(lengths(delivery)).toEqual([20]);
    expect(delivery.piecesBy(encode)[0]?.bytes).toBe(delivery.encodedBy(encode));
  });

  it.each([{ collapse: "k" }, { expiresAtMs: 5 }])("is message by message with %j, made once for all", (changes) => {
    const delivery = new Delivery([plain, { ...plain, ...changes }, plain]);
    expect(lengths(delivery)).toEqual([10, 10, 10]);
    expect(delivery.piecesBy(encode)).toBe(delivery.piecesBy(encode));
  });

  it("does not keep the pool that small buffers come from", () => {
    const [piece] = new Delivery([plain]).piecesBy(() => Buffer.from("small"));
    expect([String(piece?.bytes), piece?.bytes.buffer.byteLength]).toEqual(["small", 5]);
  });
});
