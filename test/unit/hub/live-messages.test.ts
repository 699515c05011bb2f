import { describe, expect, it } from "vitest";
import type { Message } from "../../../src/broker/broker.ts";
import { type LiveMessage, LiveMessages } from "../../../src/hub/live-messages.ts";
import { userStream } from "../../../src/protocol/streams.ts";
import { liveMessage } from "../../support/fake-broker.ts";

const message = (n: number): Message => ({ ...liveMessage(userStream("alice")), id: `l-a-${n}` });
const known = (messages: LiveMessages, count: number) =>
  Array.from({ length: count }, (_, n) => n + 1).filter((n) => messages.get(`l-a-${n}`) !== undefined);

describe("LiveMessages", () => {
  it("remember the newest, counted from the first on", () => {
    const messages = new LiveMessages(3);
    for (let n = 1; n <= 5; n++) messages.add(message(n));
    expect([known(messages, 5), messages.count]).toEqual([[3, 4, 5], 5]);
    expect(messages.get("l-a-4")).toEqual({ id: "l-a-4", stream: "u:alice", number: 4, acked: undefined });
  });

  it("remember who has acked them, each once, and forget the oldest when that is too much", () => {
    const messages = new LiveMessages(10, 3);
    for (let n = 1; n <= 3; n++) messages.add(message(n));
    const [first, second] = [1, 2].map((n) => messages.get(`l-a-${n}`)) as [LiveMessage, LiveMessage];
    for (const connection of ["c1", "c1", "c2"]) messages.ack(first, connection);
    messages.ack(second, "c1");
    expect([first.acked, second.acked]).toEqual([new Set(["c1", "c2"]), new Set(["c1"])]);
    expect(known(messages, 3)).toEqual([1, 2, 3]);
    messages.ack(second, "c2");
    expect(known(messages, 3)).toEqual([2, 3]);
    messages.ack(second, "c3");
    expect(known(messages, 3)).toEqual([2, 3]);
  });
});
