import { expect, it } from "vitest";
import { type Service, startReplicas, startService } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const clientCount = 150;
const rounds = 40;

/** Two messages to everybody and one to each of two users, again and again; the numbers of those that each must get. */
function publishAll({ belfry: { hub } }: Service): Promise<unknown> {
  const published = [];
  for (let n = 0; n < rounds * 4; n += 4) {
    published.push(
      hub.broadcast(n),
      hub.broadcastUser("u0", n + 1),
      hub.broadcastUser("u77", n + 2),
      hub.broadcast(n + 3),
    );
  }
  return Promise.all(published);
}

function expectedOf(user: number): number[] {
  const all = Array.from({ length: rounds * 4 }, (_, n) => n);
  return all.filter((n) => n % 4 === 0 || n % 4 === 3 || (n % 4 === 1 && user === 0) || (n % 4 === 2 && user === 77));
}

it.each([
  ["in memory", async () => [await startService()]],
  ["from one replica to the other", () => startReplicas(2)],
])("broadcasts and messages to users arrive in the order in which they were published, %s", async (_, start) => {
  const services = (await start()) as Service[];
  const [publisher, holder = publisher] = services as [Service, Service?];
  const clients = await Promise.all(
    Array.from({ length: clientCount }, (_, n) => TestClient.welcomed(holder.port, `u${n}`)),
  );

  await publishAll(publisher);

  for (const [user, client] of clients.entries()) {
    const numbers: unknown[] = [];
    for (const _ of expectedOf(user)) numbers.push((await client.next())["data"]);
    expect(numbers).toEqual(expectedOf(user));
  }
});

it.each([
  ["in memory", async () => [await startService({ historySize: 10 })]],
  ["with Redis", () => startReplicas(1, { historySize: 10 })],
])("however many publish at once, nobody who reads is cut off, %s", async (_, start) => {
  const [service] = (await start()) as [Service];
  const clients = await Promise.all(["alice", "bob"].map((user) => TestClient.welcomed(service.port, user)));
  const count = 800;
  const padding = "x".repeat(4096);
  const published = Array.from({ length: count }, (_, n) => service.belfry.hub.broadcast({ n, padding }));
  await Promise.all(published);
  for (const client of clients) {
    for (let n = 0; n < count; n++) expect((await client.next())["data"]).toMatchObject({ n });
  }
});
