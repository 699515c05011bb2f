import { describe, expect, it } from "vitest";
import { type Service, startReplicas, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { worlds } from "../support/worlds.ts";

const options = { presenceTopics: ["room.*"], allowAnonymous: true, publicTopics: ["room.*"] };

/** Connects and subscribes; `there` is who was there before. */
async function enter({ port }: Service, user?: string, topic = "room.1") {
  const client = await TestClient.welcomed(port, user);
  client.send({ type: "subscribe", topic });
  const { users } = await client.next();
  return Object.assign(client, { there: (users as string[] | undefined)?.toSorted() });
}

/** Takes the next events of a topic, as `join alice`. */
async function events(client: TestClient, count: number): Promise<string[]> {
  const frames = await client.take(count);
  return frames.map(({ event, data }) => `${event} ${(data as { user?: string }).user}`);
}

describe.each(worlds)("a topic that tells who is there, $name", ({ start }) => {
  it("says who was there before, and then who joins and leaves, each user once", async () => {
    const [one, two, three] = await start(options);
    const alice = await enter(one, "alice");
    expect(alice.there).toEqual([]);
    expect(await events(alice, 1)).toEqual(["join alice"]);
    const bob = await enter(two, "bob");
    expect(bob.there).toEqual(["alice"]);
    expect(await events(alice, 1)).toEqual(["join bob"]);
    const again = await enter(three, "bob");
    expect(again.there).toEqual(["alice", "bob"]);
    again.ws.close();
    const carol = await enter(three, "carol");
    expect(await events(alice, 1)).toEqual(["join carol"]);
    expect(await events(bob, 2)).toEqual(["join bob", "join carol"]);
    bob.ws.terminate();
    carol.send({ type: "unsubscribe", topic: "room.1" });
    expect((await events(alice, 2)).toSorted()).toEqual(["leave bob", "leave carol"]);
  });

  it("does not tell of anonymous clients, and tells them of the others", async () => {
    const [one, two] = await start(options);
    const nobody = await enter(one);
    const alice = await enter(two, "alice");
    expect(alice.there).toEqual([]);
    expect(await events(nobody, 1)).toEqual(["join alice"]);
    expect(await events(alice, 1)).toEqual(["join alice"]);
  });

  it("keeps its events out of history", async () => {
    const [one, two] = await start(options);
    const alice = await enter(one, "alice");
    await events(alice, 1);
    const { json } = await two.call("GET", "/topics/room.1/messages");
    expect(json).toMatchObject({ last: 0, messages: [] });
  });

  it("tells nothing of topics that do not ask for it", async () => {
    const [one, two] = await start(options);
    const alice = await enter(one, "alice", "lobby.1");
    expect(alice.there).toBeUndefined();
    await enter(two, "bob", "lobby.1");
    await two.call("POST", "/topics/lobby.1/messages", { data: "barrier" });
    expect(await alice.next()).toMatchObject({ data: "barrier" });
  });
});

describe("a topic that tells who is there", () => {
  it("lets the users of a replica that is gone leave", async () => {
    const [one, two] = (await startReplicas(2, options)) as [Service, Service];
    const alice = await enter(one, "alice");
    await enter(two, "bob");
    await enter(two, "alice");
    expect(await events(alice, 2)).toEqual(["join alice", "join bob"]);
    // It is gone without a word: nothing that it still wanted to say reaches Redis.
    const { hub } = two.belfry as unknown as { hub: { close(): Promise<void> } };
    await hub.close();
    expect(await events(alice, 1)).toEqual(["leave bob"]);
    await one.call("POST", "/topics/room.1/messages", { data: "barrier" });
    expect(await alice.next()).toMatchObject({ data: "barrier" });
    expect((await one.call("GET", "/topics/room.1")).json.users).toEqual(["alice"]);
  });

  it("forgets who was there when nobody is left", async () => {
    const [one, two] = (await startReplicas(2, options)) as [Service, Service];
    const alice = await enter(one, "alice");
    const bob = await enter(two, "bob");
    for (const { ws } of [alice, bob]) ws.terminate();
    await until(async () => (await one.call("GET", "/stats")).json.total.topics === 0);
    const carol = await enter(two, "carol");
    expect(carol.there).toEqual([]);
  });
});
