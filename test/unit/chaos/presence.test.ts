import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { Checker } from "../../../chaos/checker.ts";
import { checkPresence } from "../../../chaos/presence.ts";

/** What a replica says of alice's connections and of the topic `own-0`; nobody is in any other. */
interface Said {
  readonly connections: number;
  readonly subscribers: number;
  readonly users: readonly string[];
}

/** What is found when alice is connected once and subscribed, and replicas say this. */
async function foundWith(...replicas: Said[]) {
  const checker = new Checker();
  const told = { since: undefined, position: "t-e-0", recovered: undefined, isByService: false };
  checker.subscribed("alice's", "topic:own-0", told);
  const clients = [
    { name: "alice's", user: "alice", isConnected: true },
    { name: "another", user: "alice", isConnected: false },
  ];
  const ports = await Promise.all(replicas.map(replica));
  await checkPresence({ checker, clients, users: ["alice"], ports, timeoutMs: 100 });
  return checker.violations.map(({ kind, detail }) => `${kind}: ${detail}`);
}

/** Serves what is said; returns its port. */
async function replica({ connections, subscribers, users }: Said): Promise<number> {
  const server = createServer(({ url }, response) => {
    const ofTopic = url === "/topics/own-0" ? { subscribers, users } : { subscribers: 0, users: [] };
    response.end(JSON.stringify(url === "/presence" ? { users: [{ user: "alice", connections }] } : ofTopic));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const right = { connections: 1, subscribers: 1, users: ["alice"] };

it("finds nothing where all replicas say what is", async () => {
  expect(await foundWith(right, right)).toEqual([]);
});

it("catches ghosts and whoever is forgotten, by any replica", async () => {
  expect(await foundWith(right, { ...right, connections: 2 })).toEqual([
    "presence: alice has 1 connections, and is said to have 2",
  ]);
  expect(await foundWith({ ...right, subscribers: 2 })).toEqual([
    "presence: own-0 has 1 subscribers, and is said to have 2",
  ]);
  expect(await foundWith({ ...right, users: ["alice", "bob"] }, { ...right, users: [] })).toEqual([
    "presence: own-0: wrong about bob",
    "presence: own-0: wrong about alice",
  ]);
});
