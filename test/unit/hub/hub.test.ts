import { beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryBroker } from "../../../src/broker/memory-broker.ts";
import { BelfryError } from "../../../src/errors.ts";
import { createLog } from "../../../src/log.ts";
import { broadcastStream, topicStream, userStream } from "../../../src/protocol/streams.ts";
import { FakeBroker, settled } from "../../support/fake-broker.ts";
import { connect, createHub } from "../../support/hub.ts";

const alice = userStream("alice");
let broker: FakeBroker;

beforeEach(() => {
  broker = new FakeBroker();
});

describe("a topic that tells who is there", () => {
  it("tells it however little a message may hold, and lets everybody go again", async () => {
    const hub = createHub(broker, { presenceTopics: ["room"], maxPayloadBytes: 5 });
    await hub.userTopics.add("alice", "room");
    const one = await connect(hub, "alice");
    await hub.userTopics.apply(one);
    await settled();
    expect(one.frames).toMatchObject([{ type: "subscribed", topic: "room" }]);
    expect(one.ids).toHaveLength(1);
    one.close("forbidden");
    expect([hub.topics.size, hub.size, broker.subscribed.has("t:room")]).toEqual([0, 0, false]);
    await hub.close();
  });
});

describe("sending", () => {
  it("reaches everyone by broadcast, and one user's connections by user", async () => {
    const hub = createHub(broker);
    const [anonymous, one, two, bob] = [
      await connect(hub),
      await connect(hub, "alice"),
      await connect(hub, "alice"),
      await connect(hub, "bob"),
    ];
    expect(await hub.broadcast({ n: 1 })).toEqual({ id: "b-e1-1", receivers: 4, replayed: false });
    expect(await hub.broadcastUser("alice", { n: 2 })).toEqual({ id: "u-e1-1", receivers: 2, replayed: false });
    await settled();
    expect([anonymous, one, two, bob].map(({ ids }) => ids)).toEqual([
      ["b-e1-1"],
      ["b-e1-1", "u-e1-1"],
      ["b-e1-1", "u-e1-1"],
      ["b-e1-1"],
    ]);
  });

  it("counts no receivers where nobody is", async () => {
    const hub = createHub(broker);
    expect(await hub.broadcastUser("alice", 1)).toEqual({ id: "u-e1-1", receivers: 0, replayed: false });
    expect(await hub.publish("news", 1)).toEqual({ id: "t-e1-1", receivers: 0, replayed: false });
  });

  it("tells the broker how many connections listen here, and none where nobody is subscribed", async () => {
    const hub = createHub(broker);
    await connect(hub, "alice");
    await connect(hub, "alice");
    const publish = vi.spyOn(broker, "publish");
    await hub.broadcastUser("alice", 1);
    await hub.broadcastUser("bob", 1);
    expect(publish.mock.calls.map(([, , here]) => here)).toEqual([2, undefined]);
  });

  it("hands over what the broker hands back, not what was sent", async () => {
    const hub = createHub(broker);
    const connection = await connect(hub, "alice");
    broker.deaf = true;
    await hub.broadcastUser("alice", 1);
    await settled();
    expect(connection.ids).toEqual([]);
    broker.deaf = false;
    await hub.broadcastUser("alice", 2);
    await settled();
    expect(connection.ids).toEqual(["u-e1-1", "u-e1-2"]);
  });

  it("refuses data that JSON cannot say, and sends nothing", async () => {
    await expect(createHub(broker).broadcast(undefined)).rejects.toMatchObject({ code: "invalid" });
    expect(broker.calls).toEqual(["subscribe b"]);
  });

  it("tells how each publish went and what was delivered", async () => {
    const onPublish = vi.fn();
    const onDelivered = vi.fn();
    const hub = createHub(broker, { onPublish, onDelivered });
    await connect(hub, "alice");
    await hub.broadcastUser("alice", 1);
    await hub.broadcastUser("bob", 1);
    await expect(hub.publish("news", "x".repeat(1000))).rejects.toMatchObject({ code: "too_large" });
    broker.failNext("publish", new BelfryError("unavailable", "Redis is away"));
    await expect(hub.broadcast(1)).rejects.toMatchObject({ code: "unavailable" });
    expect(onPublish.mock.calls).toEqual([
      ["user", "accepted"],
      ["user", "accepted"],
      ["topic", "refused"],
      ["broadcast", "failed"],
    ]);
    await settled();
    expect(onDelivered.mock.calls).toEqual([["user", 1, expect.any(Number)]]);
    expect(onDelivered.mock.calls[0]?.[2]).toBeGreaterThanOrEqual(0);
  });

  it("does not count a connection that was too slow", async () => {
    const onDelivered = vi.fn();
    const hub = createHub(broker, { onDelivered });
    const [slow, quick] = [await connect(hub), await connect(hub)];
    slow.slow = true;
    await hub.broadcast(1);
    await settled();
    expect(onDelivered.mock.calls).toEqual([["broadcast", 1, expect.any(Number)]]);
    await settled();
    expect(quick.ids).toEqual(["b-e1-1"]);
    expect(slow.closes).toEqual([{ cause: "slow_consumer", reason: undefined }]);
    expect([...hub.connections]).toEqual([quick]);
  });
});

describe("a message from around the API", () => {
  it("reaches the connections of this replica and no broker", async () => {
    const hub = createHub(broker);
    const [connection, bob] = [await connect(hub, "alice"), await connect(hub, "bob")];
    broker.calls.length = 0;
    hub.deliverHere(alice, { json: "1" });
    hub.deliverHere(alice, { json: "2", ttl: 60 });
    await settled();
    expect(connection.ids).toEqual([
      expect.stringMatching(/^l-[0-9a-z]+-1$/),
      expect.stringMatching(/^l-[0-9a-z]+-2$/),
    ]);
    await settled();
    expect([bob.ids, broker.calls]).toEqual([[], []]);
  });

  it("is checked like any other", () => {
    const invalid = expect.objectContaining({ code: "invalid" });
    expect(() => createHub(broker).deliverHere(alice, { json: "1", event: "" })).toThrow(invalid);
  });

  it("is passed on as it came from the broker", () => {
    const onExternalPublish = vi.fn();
    createHub(broker, { onExternalPublish });
    broker.handler?.onExternalPublish(Buffer.from("x"));
    expect(onExternalPublish).toHaveBeenCalledExactlyOnceWith(Buffer.from("x"));
  });
});

describe("a listener", () => {
  it("hears of each connection that comes and goes, once, and may close it", async () => {
    const hub = createHub(broker);
    const heard: string[] = [];
    hub.on("connect", ({ connection, user }) => heard.push(`+${connection} ${user}`));
    hub.on("disconnect", ({ connection, user }) => heard.push(`-${connection} ${user}`));
    const { id } = await connect(hub, "alice");
    const other = await connect(hub, null);
    hub.once("connect", (client) => client.disconnect("no"));
    const third = await connect(hub, "bob");
    other.close("going_away", "0");
    other.close("going_away", "0");
    hub.unregister(other);
    expect(heard).toEqual([
      `+${id} alice`,
      `+${other.id} null`,
      `+${third.id} bob`,
      `-${third.id} bob`,
      `-${other.id} null`,
    ]);
    expect(third.closes).toEqual([{ cause: "forbidden", reason: "no" }]);
    expect(hub.size).toBe(1);
  });

  it("that throws harms no connection", async () => {
    const hub = createHub(broker);
    for (const event of ["connect", "disconnect"] as const) {
      hub.on(event, () => {
        throw new Error("a bug in somebody's service");
      });
    }
    const connection = await connect(hub, "alice");
    await hub.broadcast(1);
    await settled();
    expect(connection.ids).toEqual(["b-e1-1"]);
    connection.close("forbidden");
    expect(hub.size).toBe(0);
  });

  it("that rejects or throws is logged, and keeps the event from no other listener", async () => {
    const lines: string[] = [];
    const hub = createHub(broker, { log: createLog("error", { write: (line) => void lines.push(line) }) });
    const heard: string[] = [];
    hub.on("connect", async () => {
      await Promise.reject(new Error("a bug in an async listener"));
    });
    hub.on("connect", () => {
      throw new Error("a bug in a listener");
    });
    hub.once("connect", ({ user }) => void heard.push(`once ${user}`));
    hub.on("connect", ({ user }) => void heard.push(`on ${user}`));
    await connect(hub, "alice");
    await connect(hub, "bob");
    await settled();
    expect(heard).toEqual(["once alice", "on alice", "on bob"]);
    expect(lines.map((line) => JSON.parse(line).err.message).toSorted()).toEqual([
      "a bug in a listener",
      "a bug in a listener",
      "a bug in an async listener",
      "a bug in an async listener",
    ]);
  });

  it("that sends when a slow connection goes does not overtake the message under way", async () => {
    const hub = createHub(broker, {
      broker: new MemoryBroker({
        historySize: 10,
        historyTtlSeconds: 60,
        idempotencyTtlSeconds: 60,
        memoryHistoryBytes: 1e6,
      }),
    });
    hub.on("disconnect", () => void hub.broadcast("somebody left"));
    const [slow, quick] = [await connect(hub), await connect(hub)];
    slow.slow = true;
    const { id } = await hub.broadcast("first");
    await vi.waitFor(() => expect(quick.ids).toHaveLength(2));
    expect(quick.ids).toEqual([id, id.replace(/1$/, "2")]);
  });
});

describe("questions", () => {
  it("are answered with the user's connections", async () => {
    const hub = createHub(broker);
    const { id } = await connect(hub, "alice");
    await connect(hub, "bob");
    const replica = { replica: "replica-1", transport: "ws", connectedAt: 1_700_000_000_000, remote: "192.0.2.1" };
    expect(await hub.connectionsOf("alice")).toEqual([{ connection: id, ...replica }]);
    expect(await hub.connectionsOf("carol")).toEqual([]);
  });

  it("close all of a user's connections", async () => {
    const hub = createHub(broker);
    const [one, two, bob] = [await connect(hub, "alice"), await connect(hub, "alice"), await connect(hub, "bob")];
    expect(await hub.disconnect("alice")).toBe(2);
    expect([one, two, bob].map(({ closes }) => closes[0]?.cause)).toEqual(["forbidden", "forbidden", undefined]);
    expect(await hub.disconnect("alice")).toBe(0);
  });

  it("to other replicas add up", async () => {
    const hub = createHub(broker);
    vi.spyOn(broker, "ask").mockResolvedValueOnce({
      answers: [[{ connection: "x" }], [], [{ connection: "y" }]],
      replicas: 3,
    });
    expect(await hub.connectionsOf("alice")).toEqual([{ connection: "x" }, { connection: "y" }]);
    vi.spyOn(broker, "ask").mockResolvedValueOnce({ answers: [1, 0, 2], replicas: 3 });
    expect(await hub.disconnect("alice")).toBe(3);
  });

  it("about numbers count connections, and users and topics with a member", async () => {
    const hub = createHub(broker);
    await connect(hub);
    await connect(hub, "alice");
    (await connect(hub, "bob")).close("forbidden");
    await hub.admit({ user: "carol" });
    const stats = { replica: "replica-1", connections: 2, users: 1, topics: 0 };
    expect(hub.statsHere()).toEqual(stats);
    expect(await hub.stats()).toEqual([stats]);
    expect(broker.handler?.onQuestion(broadcastStream, { kind: "stats" })).toEqual(stats);
    expect(broker.handler?.onQuestion(topicStream("news"), { kind: "connections" })).toEqual([]);
  });
});

describe("close", () => {
  it("ends the broker", async () => {
    await createHub(broker).close();
    expect(broker.closed).toBe(true);
  });
});
