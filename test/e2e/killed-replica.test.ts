import { expect, inject, it } from "vitest";
import { startProcess } from "../support/process.ts";
import { uniquePrefix, until } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const topic = "room.lobby";

/** Connects and subscribes to the topic; takes the joins of `joins` users, in whatever order they come. */
async function enter(port: number, user: string, joins: number): Promise<TestClient> {
  const client = await TestClient.welcomed(port, user);
  client.send({ type: "subscribe", topic });
  expect(await client.next()).toMatchObject({ type: "subscribed" });
  for (const frame of await client.take(joins)) expect(frame).toMatchObject({ event: "join" });
  return client;
}

it("a killed replica leaves nobody behind: its users are offline at once, and leave their topics", async () => {
  const env = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: uniquePrefix(), PRESENCE_TOPICS: "room.*" };
  const [survivor, killed] = await Promise.all([startProcess(env), startProcess(env)]);
  for (const { call } of [survivor, killed]) await until(async () => (await call("GET", "/readyz")).status === 200);
  const users = ["bob", "carol", "dave"];
  // Alice sees herself and the others; she has a connection on either replica, and stays there by one of them.
  const alice = await enter(survivor.port, "alice", 1);
  await enter(killed.port, "alice", 0);
  for (const user of users) {
    await enter(killed.port, user, 1);
    expect(await alice.next()).toMatchObject({ event: "join", data: { user } });
  }

  const online = async () => {
    const one = await survivor.call("GET", "/users/bob");
    const many = await survivor.call("POST", "/presence", { users: ["alice", ...users] });
    const room = await survivor.call("GET", `/topics/${topic}`);
    const present = many.json.users as { user: string; online: boolean }[];
    return {
      bob: one.json.online,
      present: present.flatMap((user) => (user.online ? user.user : [])),
      room: [...room.json.users].toSorted(),
      subscribers: room.json.subscribers,
    };
  };
  const everybody = ["alice", ...users];
  expect(await online()).toEqual({ bob: true, present: everybody, room: everybody, subscribers: 5 });

  const start = performance.now();
  const since = () => Math.round(performance.now() - start);
  killed.child.kill("SIGKILL");
  await killed.exited;
  let looks = 0;
  let last = await online();
  for (; last.bob || last.present.length > 1 || last.subscribers > 1; looks++) {
    expect(since()).toBeLessThan(5000);
    last = await online();
  }
  const offlineMs = since();
  expect(last).toEqual({ bob: false, present: ["alice"], room: ["alice"], subscribers: 1 });

  const leaves = await alice.take(users.length);
  const leftMs = since();

  expect(leaves.map(({ event }) => event)).toEqual(["leave", "leave", "leave"]);
  expect(leaves.map(({ data }) => (data as { user: string }).user).toSorted()).toEqual(users);
  expect(leftMs).toBeLessThan(5000);
  // Alice is still there, so nobody has told that she left.
  await survivor.call("POST", `/topics/${topic}/messages`, { data: "barrier" });
  expect(await alice.next()).toMatchObject({ data: "barrier" });
  console.log(
    `killed replica: offline after ${offlineMs} ms (${looks} looks in vain), leave events after ${leftMs} ms`,
  );
});
