import { beforeEach, describe, expect, it } from "vitest";
import type { Message } from "../../../src/broker/broker.ts";
import { SubscribedStreams } from "../../../src/hub/subscribed-streams.ts";
import { createLog } from "../../../src/log.ts";
import { broadcastStream, topicStream, userStream } from "../../../src/protocol/streams.ts";
import { FakeBroker, liveMessage, settled } from "../../support/fake-broker.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import { receiverOf } from "../../support/receivers.ts";
import { RecordingFanOut } from "../../support/recording-fan-out.ts";

const alice = userStream("alice");
let broker: FakeBroker;
let streams: SubscribedStreams;
/** Ids handed to the members, and `lost KEY` where they were told to resume. */
let seen: string[];

beforeEach(() => {
  broker = new FakeBroker();
  seen = [];
  streams = new SubscribedStreams(broker, createLog("silent"), {
    createFanOut: () => new RecordingFanOut(({ id }) => seen.push(id)),
    lost: ({ stream }) => void seen.push(`lost ${stream.key}`),
  });
});

/** The message with an offset, as pub/sub hands it over. */
function accept(...messages: (Message | undefined)[]): void {
  for (const message of messages) streams.accept(message as Message);
}

const ids = (from: number, to: number, epoch = "e1") =>
  Array.from({ length: to - from + 1 }, (_, index) => `u-${epoch}-${from + index}`);

describe("what the broker hands over", () => {
  it("is delivered in order, each message once", async () => {
    await streams.hold(alice);
    const [one, two, three] = broker.store(alice, 3);
    accept(one, one, two, one, two, three, three);
    expect(seen).toEqual(ids(1, 3));
  });

  it("is dropped where nobody holds the stream", () => {
    accept(...broker.store(alice));
    expect(seen).toEqual([]);
  });

  it("is dropped up to where the stream stood when it was subscribed", async () => {
    const before = broker.store(alice, 2);
    const { position } = await streams.hold(alice);
    expect(position).toEqual({ epoch: "e1", offset: 2 });
    accept(...before, ...broker.store(alice));
    expect(seen).toEqual(["u-e1-3"]);
  });

  it("is delivered at once when it is live only, also while a hole is filled", async () => {
    await streams.hold(alice);
    const gate = broker.block("history");
    accept(broker.store(alice, 2)[1], liveMessage(alice));
    expect(seen).toEqual(["l-fake-1"]);
    gate.release();
    await settled();
    expect(seen).toEqual(["l-fake-1", ...ids(1, 2)]);
  });
});

describe("a hole", () => {
  it("is filled from history before anything newer passes", async () => {
    await streams.hold(alice);
    const [one, , , four] = broker.store(alice, 4);
    accept(one, four);
    expect(seen).toEqual(["u-e1-1"]);
    await settled();
    expect(seen).toEqual(ids(1, 4));
    expect(broker.calls).toEqual(["subscribe u:alice", "history u:alice 1"]);
  });

  it("is filled page by page", async () => {
    await streams.hold(alice);
    accept(broker.store(alice, 450).at(-1));
    await settled();
    expect(seen).toEqual(ids(1, 450));
    expect(broker.calls.slice(1)).toEqual(["history u:alice 0", "history u:alice 200", "history u:alice 400"]);
  });

  it("is filled once, and what arrives live meanwhile follows in order", async () => {
    await streams.hold(alice);
    const gate = broker.block("history");
    accept(broker.store(alice, 3)[2]);
    accept(...broker.store(alice, 2));
    accept(broker.store(alice, 2)[1]);
    expect(seen).toEqual([]);
    gate.release();
    await settled();
    expect(seen).toEqual(ids(1, 7));
    expect(broker.calls.slice(1)).toEqual(["history u:alice 0", "history u:alice 3"]);
    accept(...broker.store(alice));
    expect(seen).toEqual(ids(1, 8));
  });

  it("may end with messages that have expired", async () => {
    await streams.hold(alice);
    const [, , , four] = broker.store(alice, 4);
    const page = { epoch: "e1", first: 1, last: 4, reaches: 4, acked: 0, messages: [] };
    broker.history = async () => page;
    accept(four);
    await settled();
    accept(four, ...broker.store(alice));
    expect(seen).toEqual(["u-e1-5"]);
  });

  it("ends membership where history was trimmed, and the stream goes on behind it", async () => {
    await streams.hold(alice);
    const [, , three] = broker.store(alice, 3);
    broker.trim(alice, 1);
    accept(three);
    await settled();
    expect(seen).toEqual(["lost u:alice"]);
    accept(three, ...broker.store(alice));
    expect(seen).toEqual(["lost u:alice", "u-e1-4"]);
  });

  it("ends membership where history was trimmed up to the last message", async () => {
    await streams.hold(alice);
    const [, two] = broker.store(alice, 2);
    broker.trim(alice, 2);
    accept(two);
    await settled();
    expect(seen).toEqual(["lost u:alice"]);
  });

  it("ends membership where history has another epoch", async () => {
    await streams.hold(alice);
    const [, two] = broker.store(alice, 2);
    broker.lose(alice, "e2");
    accept(two);
    await settled();
    expect(seen).toEqual(["lost u:alice"]);
    accept(...broker.store(alice));
    expect(seen).toEqual(["lost u:alice", "u-e2-1"]);
  });

  it("ends membership where history has another epoch that is as long already", async () => {
    await streams.hold(alice);
    const [, two] = broker.store(alice, 2);
    broker.lose(alice, "e2");
    broker.store(alice, 3);
    accept(two);
    await settled();
    accept(...broker.store(alice));
    expect(seen).toEqual(["lost u:alice", "u-e2-4"]);
  });

  it("ends membership where history has gone back behind what was seen", async () => {
    await streams.hold(alice);
    const messages = broker.store(alice, 3);
    broker.lose(alice, "e1");
    broker.store(alice, 1);
    accept(messages[2]);
    await settled();
    expect(seen).toEqual(["lost u:alice"]);
    accept(...broker.store(alice));
    expect(seen).toEqual(["lost u:alice", "u-e1-2"]);
  });

  it("is not filled any more when the last holder has left", async () => {
    const subscribed = await streams.hold(alice);
    const gate = broker.block("history");
    accept(broker.store(alice, 300).at(-1));
    streams.release(subscribed);
    gate.release();
    await settled();
    expect(broker.calls).toEqual(["subscribe u:alice", "history u:alice 0", "unsubscribe u:alice"]);
  });

  it("in one stream does not hold another back", async () => {
    await streams.hold(alice);
    await streams.hold(broadcastStream);
    broker.block("history");
    accept(broker.store(alice, 2)[1], ...broker.store(broadcastStream, 2));
    expect(seen).toEqual(["b-e1-1", "b-e1-2"]);
  });
});

describe("a message of another epoch", () => {
  it("ends membership, and the stream goes on behind it", async () => {
    await streams.hold(alice);
    accept(...broker.store(alice));
    broker.lose(alice, "e2");
    accept(...broker.store(alice, 2));
    expect(seen).toEqual(["u-e1-1", "lost u:alice", "u-e2-2"]);
  });

  it("makes history worthless that is being read in the old one", async () => {
    await streams.hold(alice);
    const gate = broker.block("history");
    accept(broker.store(alice, 2)[1]);
    broker.lose(alice, "e2");
    accept(...broker.store(alice));
    gate.release();
    await settled();
    accept(...broker.store(alice));
    expect(seen).toEqual(["lost u:alice", "u-e2-2"]);
  });
});

describe("count", () => {
  it("counts the streams of a scope that have members", async () => {
    const subscribed = await streams.hold(alice);
    await streams.hold(userStream("bob"));
    await streams.hold(topicStream("news"));
    expect(streams.count("user")).toBe(0);
    subscribed.fanOut.join(receiverOf(new FakeConnection("alice"), subscribed.fanOut));
    expect([streams.count("user"), streams.count("topic")]).toEqual([1, 0]);
  });
});
