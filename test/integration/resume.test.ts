import { describe, expect, inject, it } from "vitest";
import { parseId } from "../../src/protocol/positions.ts";
import { type Service, startReplicas, startService } from "../support/service.ts";
import type { Frame } from "../support/test-client.ts";
import { type Connected, transports } from "../support/transports.ts";
import { homes } from "../support/worlds.ts";

const offsets = (frames: readonly Frame[]) => frames.map(({ id }) => parseId(String(id))?.offset);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

async function publish(service: Service, path: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push((await service.call("POST", path, { data: n })).json.id);
  return ids;
}

const ways = transports.flatMap((transport) =>
  homes.map(({ name, start }) => ({ way: `${transport.name} ${name}`, transport, start })),
);

describe.each(ways)("resuming by $way", ({ transport, start }) => {
  const connect = (port: number, ...since: string[]): Promise<Connected> =>
    transport.welcomed(port, { flag: "alice", since });

  it("gives each stream everything behind the id that the client has, once, in order, and then what is live", async () => {
    const service = await start();
    const user = await publish(service, "/users/alice/messages", 250);
    const broadcast = await publish(service, "/broadcast", 5);
    const client = await connect(service.port, user[9] ?? "", broadcast[2] ?? "");
    expect(client.welcome["recovered"]).toEqual({ broadcast: true, user: true });
    expect(client.welcome["positions"]).toEqual({ broadcast: broadcast[2], user: user[9] });
    const missed = await client.take(242);
    expect(offsets(missed.filter(({ scope }) => scope === "user"))).toEqual(range(11, 250));
    expect(offsets(missed.filter(({ scope }) => scope === "broadcast"))).toEqual([4, 5]);
    await publish(service, "/users/alice/messages", 2);
    expect(offsets(await client.take(2))).toEqual([251, 252]);
  });

  it("gives nothing again to a client that missed nothing", async () => {
    const service = await start();
    const [id = ""] = await publish(service, "/users/alice/messages", 1);
    const client = await connect(service.port, id);
    expect(client.welcome["recovered"]).toEqual({ user: true });
    await publish(service, "/users/alice/messages", 1);
    expect(offsets([await client.next()])).toEqual([2]);
  });

  it("resumes from the positions of a welcome after which nothing came, also in a stream that was empty", async () => {
    const service = await start();
    const first = await transport.welcomed(service.port, { flag: "alice" });
    const { broadcast, user } = first.welcome["positions"] as { broadcast: string; user: string };
    first.leave();
    await publish(service, "/users/alice/messages", 2);
    const second = await connect(service.port, broadcast, user);
    expect(second.welcome["recovered"]).toEqual({ broadcast: true, user: true });
    expect(offsets(await second.take(2))).toEqual([1, 2]);
  });

  it("gives all that is kept to a client that asks for the earliest", async () => {
    const service = await start({ historySize: 3 });
    await publish(service, "/users/alice/messages", 5);
    await publish(service, "/broadcast", 2);
    const client = await connect(service.port, "earliest");
    expect(client.welcome["recovered"]).toEqual({ broadcast: true, user: false });
    const frames = await client.take(5);
    expect(offsets(frames.filter(({ scope }) => scope === "user"))).toEqual([3, 4, 5]);
    expect(offsets(frames.filter(({ scope }) => scope === "broadcast"))).toEqual([1, 2]);
  });

  it("says when history does not reach back, and gives what is kept", async () => {
    const service = await start({ historySize: 3 });
    const ids = await publish(service, "/users/alice/messages", 6);
    const client = await connect(service.port, ids[1] ?? "");
    expect(client.welcome["recovered"]).toEqual({ user: false });
    expect(client.welcome["positions"]).toMatchObject({ user: ids[2] });
    expect(offsets(await client.take(3))).toEqual([4, 5, 6]);
    const just = await connect(service.port, ids[2] ?? "");
    expect(just.welcome["recovered"]).toEqual({ user: true });
  });

  it.each([
    ["another epoch", (id: string) => id.replace(/-\w+-/, "-otherepoch-")],
    ["an offset that is not there yet", (id: string) => id.replace(/\d+$/, "99")],
  ])("says that it cannot resume from %s, and gives what is kept", async (_name, change) => {
    const service = await start();
    const ids = await publish(service, "/users/alice/messages", 3);
    const client = await connect(service.port, change(ids[0] ?? ""));
    expect(client.welcome["recovered"]).toEqual({ user: false });
    expect(offsets(await client.take(3))).toEqual([1, 2, 3]);
    expect(await service.metric('belfry_resumes_total{recovered="false"}')).toBe(1);
  });

  it("leaves out what has expired, and calls that recovered", async () => {
    const service = await start();
    const [id = ""] = await publish(service, "/users/alice/messages", 1);
    await service.call("POST", "/users/alice/messages", { data: "short", ttl: 0.001 });
    await publish(service, "/users/alice/messages", 1);
    const client = await connect(service.port, id);
    expect(client.welcome["recovered"]).toEqual({ user: true });
    expect(offsets([await client.next()])).toEqual([3]);
  });

  it.each([
    "nonsense",
    "l-abc-1",
    "t-abc-01",
    "b-abc-01",
    "earliest&since=b-abc-1",
    "b-a-1&since=b-a-2",
    "earliest?b-a-1",
    "",
  ])("refuses since=%s as malformed", async (since) => {
    const { port } = await start();
    const { status, body } = await transport.refused(port, { flag: "alice", query: `since=${since}` });
    expect([status, body]).toEqual([400, expect.stringContaining("since")]);
  });

  it("misses nothing and doubles nothing while messages go on coming", async () => {
    const service = await start({ historySize: 5000 });
    const [first = ""] = await publish(service, "/users/alice/messages", 1);
    let stop = false;
    let sent = 1;
    const publishers = Array.from({ length: 8 }, async () => {
      for (; !stop && sent < 4000; sent++) await service.call("POST", "/users/alice/messages", { data: 1 });
    });
    const clients: Connected[] = [];
    for (let n = 0; n < 20; n++) clients.push(await connect(service.port, first));
    stop = true;
    await Promise.all(publishers);
    const { json } = await service.call("POST", "/users/alice/messages", { data: "last" });
    const last = parseId(json.id)?.offset ?? 0;
    for (const client of clients) expect(offsets(await client.take(last - 1))).toEqual(range(2, last));
  });
});

describe.each(transports)("resuming on another replica by $name", (transport) => {
  it("goes on where the first replica ended", async () => {
    const [one, two] = (await startReplicas(2)) as [Service, Service];
    const client = await transport.welcomed(one.port, { flag: "alice" });
    await publish(two, "/users/alice/messages", 3);
    const seen = await client.take(3);
    await one.belfry.close();
    await publish(two, "/users/alice/messages", 3);
    const again = await transport.welcomed(two.port, { flag: "alice", since: [String(seen[2]?.["id"])] });
    expect(again.welcome["recovered"]).toEqual({ user: true });
    expect(offsets(await again.take(3))).toEqual([4, 5, 6]);
  });

  it("knows both tabs of a user that are still being given what they missed", async () => {
    const [one] = (await startReplicas(1, { redisUrl: inject("redisUrl") })) as [Service];
    const ids = await publish(one, "/users/alice/messages", 300);
    for (let n = 0; n < 2; n++) await transport.welcomed(one.port, { flag: "alice", since: [ids[0] ?? ""] });
    expect((await one.call("GET", "/users/alice")).json.connections).toHaveLength(2);
    expect((await one.call("DELETE", "/users/alice/connections")).json).toEqual({ closed: 2 });
  });
});

describe.each(transports)("a client far behind by $name", (transport) => {
  // With the smaller one so little waits that Node's streams emit no `drain` for it.
  it.each([50_000, 200_000])(
    "is given history no faster than it reads, and is not closed as slow (%d)",
    async (sendBufferBytes) => {
      const service = await startService({ historySize: 3000, sendBufferBytes });
      const [first = ""] = await publish(service, "/users/alice/messages", 1);
      const data = "x".repeat(20_000);
      const messages = Array.from({ length: 50 }, () => ({ to: { user: "alice" }, data }));
      for (let n = 0; n < 20; n++) expect((await service.call("POST", "/batch", { messages })).status).toBe(202);
      const client = await transport.welcomed(service.port, { flag: "alice", since: [first] });
      client.pause();
      await service.call("POST", "/users/alice/messages", { data: "live" });
      client.unpause();
      expect(offsets(await client.take(1001))).toEqual(range(2, 1002));
    },
  );
});
