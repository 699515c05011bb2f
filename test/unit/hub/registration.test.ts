import { beforeEach, describe, expect, it, vi } from "vitest";
import { BelfryError } from "../../../src/errors.ts";
import { broadcastStream, userStream } from "../../../src/protocol/streams.ts";
import { FakeBroker, settled } from "../../support/fake-broker.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import { connect, createHub } from "../../support/hub.ts";

const alice = userStream("alice");
const unavailable = new BelfryError("unavailable", "Redis did not answer");
let broker: FakeBroker;

beforeEach(() => {
  broker = new FakeBroker();
});

const causes = (...connections: FakeConnection[]) => connections.map(({ closes }) => closes[0]?.cause);

describe("a connection", () => {
  it("is told the positions from which it would miss nothing", async () => {
    const hub = createHub(broker);
    broker.store(alice, 17);
    await hub.broadcast(1);
    expect((await connect(hub, "alice")).welcomed?.positions).toEqual({ broadcast: "b-e1-1", user: "u-e1-17" });
    expect((await connect(hub, null)).welcomed?.positions).toEqual({ broadcast: "b-e1-1" });
  });

  it("is told positions with offset 0 in streams that are empty", async () => {
    expect((await connect(createHub(broker), "alice")).welcomed?.positions).toEqual({
      broadcast: "b-e1-0",
      user: "u-e1-0",
    });
  });

  it("is told where the streams stand when it is registered, not when it was admitted", async () => {
    const hub = createHub(broker);
    const admission = await hub.admit({ user: "alice" });
    await hub.broadcastUser("alice", 1);
    const connection = new FakeConnection("alice");
    expect(hub.register(connection, admission)).toBe(true);
    await hub.broadcastUser("alice", 2);
    expect(connection.welcomed?.positions.user).toBe("u-e1-1");
    await settled();
    expect(connection.ids).toEqual(["u-e1-2"]);
  });

  it("that comes while a hole is filled is told the position before it and gets the rest", async () => {
    const hub = createHub(broker);
    const first = await connect(hub, "alice");
    const gate = broker.block("history");
    const [, two] = broker.store(alice, 2);
    if (two) broker.handler?.onMessage(two);
    const second = await connect(hub, "alice");
    gate.release();
    await settled();
    expect(second.welcomed?.positions.user).toBe("u-e1-0");
    await settled();
    expect([first.ids, second.ids]).toEqual([
      ["u-e1-1", "u-e1-2"],
      ["u-e1-1", "u-e1-2"],
    ]);
  });

  it("is welcomed before listeners hear of it", async () => {
    const hub = createHub(broker);
    const connection = new FakeConnection(null);
    const heard: unknown[] = [];
    hub.on("connect", () => heard.push(connection.welcomed));
    hub.register(connection, await hub.admit({ user: null }));
    expect(heard).toEqual([{ positions: { broadcast: "b-e1-0" }, recovered: {} }]);
  });

  it("gets nothing any more after it has gone", async () => {
    const hub = createHub(broker);
    const connection = await connect(hub, "alice");
    hub.unregister(connection);
    await hub.broadcast(1);
    await hub.broadcastUser("alice", 1);
    await settled();
    expect(connection.ids).toEqual([]);
    expect(hub.size).toBe(0);
  });

  it("closes with position_lost where its stream lost its history, and others stay", async () => {
    const hub = createHub(broker);
    const [one, two, bob] = [await connect(hub, "alice"), await connect(hub, "alice"), await connect(hub, "bob")];
    broker.lose(alice, "e2");
    await hub.broadcastUser("alice", 1);
    expect(causes(one, two, bob)).toEqual(["position_lost", "position_lost", undefined]);
    expect([...hub.connections]).toEqual([bob]);
  });
});

describe("a connection that resumes where history has begun anew, and nothing was published since", () => {
  it.each([
    { epoch: "e1", offset: 1 },
    { epoch: "e2", offset: 0 },
  ])("from $epoch stays in the new epoch, and those in the old one close to resume", async (since) => {
    const hub = createHub(broker);
    broker.store(alice, 2);
    const other = await connect(hub, "alice");
    broker.lose(alice, "e2");
    const connection = new FakeConnection("alice");
    connection.onClose = () => hub.unregister(connection);
    hub.register(connection, await hub.admit({ user: "alice" }, { user: since }));
    await settled();
    expect(connection.welcomed?.positions.user).toBe("u-e2-0");
    expect(connection.welcomed?.recovered.user).toBe(since.epoch === "e2");
    expect(causes(connection, other)).toEqual([undefined, "position_lost"]);
    await hub.broadcastUser("alice", 1);
    await settled();
    expect(connection.ids).toEqual(["u-e2-1"]);
  });

  it("is refused while the broker does not say where the stream stands", async () => {
    const hub = createHub(broker);
    await connect(hub, "alice");
    broker.lose(alice, "e2");
    broker.failNext("subscribe", unavailable);
    await expect(hub.admit({ user: "alice" }, { user: { epoch: "e2", offset: 0 } })).rejects.toBe(unavailable);
    await hub.close();
  });
});

describe("the subscription of a user's stream", () => {
  it("begins with the user's first connection and ends with the last", async () => {
    const hub = createHub(broker);
    const [one, two] = [await connect(hub, "alice"), await connect(hub, "alice")];
    hub.unregister(one);
    expect(broker.subscribed).toEqual(new Set(["b", "u:alice"]));
    hub.unregister(two);
    hub.unregister(two);
    expect(broker.subscribed).toEqual(new Set(["b"]));
  });

  it("ends when the only one who wanted it never came", async () => {
    const hub = createHub(broker);
    hub.dismiss(await hub.admit({ user: "alice" }));
    expect(broker.subscribed).toEqual(new Set(["b"]));
  });

  it("stays while another handshake is under way", async () => {
    const hub = createHub(broker);
    const admission = await hub.admit({ user: "alice" });
    hub.unregister(await connect(hub, "alice"));
    const connection = new FakeConnection("alice");
    hub.register(connection, admission);
    await hub.broadcastUser("alice", 1);
    await settled();
    expect(connection.ids).toEqual(["u-e1-1"]);
  });

  it("that failed refuses the admission and leaves nothing behind", async () => {
    const hub = createHub(broker);
    await settled();
    broker.failNext("subscribe", unavailable);
    await expect(hub.admit({ user: "alice" })).rejects.toBe(unavailable);
    expect(broker.subscribed).toEqual(new Set(["b"]));
    await connect(hub, "alice");
    expect(broker.subscribed).toEqual(new Set(["b", "u:alice"]));
  });
});

describe("the broadcast stream", () => {
  it("stays subscribed when all have left", async () => {
    const hub = createHub(broker);
    hub.unregister(await connect(hub, null));
    expect(broker.subscribed).toEqual(new Set(["b"]));
  });

  it("admits nobody while the broker cannot be reached, and everybody after", async () => {
    broker.failNext("subscribe", unavailable);
    broker.up = false;
    const hub = createHub(broker);
    broker.failNext("subscribe", unavailable);
    await expect(hub.admit({ user: null })).rejects.toBe(unavailable);
    broker.handler?.onConnected();
    const connection = await connect(hub, null);
    await hub.broadcast(1);
    await settled();
    expect(connection.ids).toEqual(["b-e1-1"]);
  });

  it("catches up when the broker is reached again", async () => {
    const hub = createHub(broker);
    const connection = await connect(hub, null);
    broker.store(broadcastStream, 2);
    broker.handler?.onConnected();
    await vi.waitFor(() => expect(connection.ids).toHaveLength(2));
    expect(connection.ids).toEqual(["b-e1-1", "b-e1-2"]);
  });
});

describe("the limit of connections per user", () => {
  it("turns the newest away", async () => {
    const hub = createHub(broker);
    const [one, two, three] = [await connect(hub, "alice"), await connect(hub, "alice"), await connect(hub, "alice")];
    expect(causes(one, two, three)).toEqual([undefined, undefined, "too_many"]);
    expect(three.welcomed).toBeUndefined();
    await hub.broadcastUser("alice", 1);
    await settled();
    expect([one.ids.length, two.ids.length, three.ids.length]).toEqual([1, 1, 0]);
    expect([...hub.connections]).toEqual([one, two]);
  });

  it("gives the hold of the one turned away back", async () => {
    const hub = createHub(broker, { maxConnectionsPerUser: 1 });
    const one = await connect(hub, "alice");
    expect(hub.register(new FakeConnection("alice"), await hub.admit({ user: "alice" }))).toBe(false);
    hub.unregister(one);
    expect(broker.subscribed).toEqual(new Set(["b"]));
  });

  it("replaces the oldest where it is told to", async () => {
    const hub = createHub(broker, { overLimit: "replace" });
    const [one, two, three] = [await connect(hub, "alice"), await connect(hub, "alice"), await connect(hub, "alice")];
    expect(causes(one, two, three)).toEqual(["replaced", undefined, undefined]);
    await connect(hub, "alice");
    expect(causes(one, two, three)).toEqual(["replaced", "replaced", undefined]);
    expect(hub.size).toBe(2);
  });

  it("replaces the only one without losing the stream", async () => {
    const hub = createHub(broker, { overLimit: "replace", maxConnectionsPerUser: 1 });
    await connect(hub, "alice");
    const second = await connect(hub, "alice");
    await hub.broadcastUser("alice", 1);
    await settled();
    expect(second.ids).toEqual(["u-e1-1"]);
  });

  it("is each user's own and does not count anonymous connections", async () => {
    const hub = createHub(broker, { maxConnectionsPerUser: 1 });
    await connect(hub, "alice");
    await connect(hub, "bob");
    for (let i = 0; i < 3; i++) await connect(hub, null);
    expect(hub.size).toBe(5);
  });
});
