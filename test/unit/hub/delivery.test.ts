import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it, vi } from "vitest";
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
