import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFailed, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { callerOf } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { docker, eventually, mustRun, run } from "./docker.ts";

const projectName = `belfry-test-${process.pid}`;

const port = await freePort();
const call = callerOf(port);

/** Compose as a plugin of Docker, or the program of its own that it was before. */
const plugin = (await run("docker", ["compose", "version"])).code === 0;

function compose(...args: string[]): Promise<string> {
  const [command, ...before] = plugin ? ["docker", "compose"] : ["docker-compose"];
  const env = { BELFRY_IMAGE: inject("belfryImage"), BELFRY_PORT: String(port) };
  return mustRun(command as string, [...before, "--project-name", projectName, ...args], env);
}

const containersOf = async (service: string) => (await compose("ps", "--quiet", service)).split("\n");
const connectionsOf = async (user: string): Promise<{ connection: string; replica: string; remote: string }[]> =>
  (await call("GET", `/users/${user}`)).json.connections;

/** Waits until both replicas serve and hear each other. */
async function everyReplicaIsThere(): Promise<void> {
  await eventually(async () => (await call("GET", "/stats")).json.total.replicas === 2, 60_000);
}

/** Containers of the replicas, which are named after them. */
const containerOf = ({ replica }: { replica: string }) => replica.slice(0, 12);

/** Connects a user through nginx until both replicas hold a connection of the user's. */
async function connectToBoth(user: string) {
  const clients: Awaited<ReturnType<typeof TestClient.welcomed>>[] = [];
  while (new Set((await connectionsOf(user)).map(containerOf)).size < 2) {
    expect(clients.length, "connections that all went to the same replica").toBeLessThan(30);
    clients.push(await TestClient.welcomed(port, user));
  }
  return clients;
}

/** Publishes to a user again and again, while something else happens, and resolves with the answers' status. */
async function publishDuring(user: string, happening: Promise<unknown>): Promise<number[]> {
  const statuses: number[] = [];
  let over = false;
  const end = happening.finally(() => {
    over = true;
  });
  while (!over) statuses.push((await call("POST", `/users/${user}/messages`, { data: statuses.length })).status);
  await end;
  return statuses;
}

describe("two replicas behind nginx", () => {
  beforeAll(async () => {
    await compose("up", "--detach", "--no-build");
    await everyReplicaIsThere();
  });

  afterAll(async () => {
    await compose("down", "--volumes", "--remove-orphans");
  });

  beforeEach(() => {
    onTestFailed(async () => console.log(await compose("logs", "--no-color", "--tail", "20")));
  });

  test("a message reaches every connection of the user, on both replicas", async () => {
    const clients = await connectToBoth("alice");
    const other = await TestClient.welcomed(port, "bob");

    const { status, json } = await call("POST", "/users/alice/messages", { data: { n: 1 } });
    await call("POST", "/broadcast", { data: "to everyone" });

    expect(status).toBe(202);
    for (const client of clients) expect(await client.next()).toMatchObject({ id: json.id, data: { n: 1 } });
    for (const client of [...clients, other]) {
      expect(await client.next()).toMatchObject({ scope: "broadcast", data: "to everyone" });
    }
  });

  test("the address of a connection is the client's, which it cannot choose", async () => {
    const headers = { "x-forwarded-for": "192.0.2.1" };
    await TestClient.welcomed(port, "carol", { headers });
    const [nginx = ""] = await containersOf("nginx");
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}}{{end}}";
    const [nginxAddress, gateway] = (await docker("inspect", "--format", format, nginx)).split(" ");

    const [connection] = await connectionsOf("carol");

    // Seen from the containers' network, this machine is its gateway.
    expect(connection?.remote).toBe(gateway);
    expect(connection?.remote).not.toBe(nginxAddress);
  });

  test("a replica that restarts tells its clients, and publishers go on through the other", async () => {
    const clients = await connectToBoth("dave");
    const here = await connectionsOf("dave");
    const restarted = containerOf(here[0]!);
    const told = clients.filter(({ welcome }) =>
      here.some((one) => one.connection === welcome["connection"] && containerOf(one) === restarted),
    );

    const statuses = await publishDuring("dave", docker("restart", "--time", "20", restarted));

    // A request may meet the very moment in which the listening socket closes. It may have been done: nobody repeats it.
    const lost = statuses.filter((status) => status !== 202).length;
    expect(lost).toBeLessThanOrEqual(1);
    // None was published twice: the next one has the next offset.
    const { json: next } = await call("POST", "/users/dave/messages", { data: "next" });
    const offset = Number(next.id.split("-").at(-1));
    expect(offset).toBeLessThanOrEqual(statuses.length + 1);
    expect(offset).toBeGreaterThan(statuses.length - lost);
    expect(told.length).toBeGreaterThan(0);
    for (const client of told) expect(await client.closed).toMatchObject({ code: 1001 });
    await TestClient.welcomed(port, "dave");
    await everyReplicaIsThere();
  });

  test("the streams outlive a restart of Redis", async () => {
    const { json: before } = await call("POST", "/users/erin/messages", { data: "before" });
    const [redis = ""] = await containersOf("redis");

    await docker("restart", redis);
    await everyReplicaIsThere();

    const { json: after } = await call("POST", "/users/erin/messages", { data: "after" });
    expect(before.id).toMatch(/-1$/);
    expect(after.id).toBe(before.id.replace(/1$/, "2"));
  });

  test("one replica goes on when the other is killed", async () => {
    const clients = await connectToBoth("frank");
    const [victim] = await connectionsOf("frank");
    const killed = containerOf(victim!);

    await docker("kill", killed);
    const survivors = (await connectionsOf("frank")).map(({ connection }) => connection);
    await call("POST", "/users/frank/messages", { data: "still here" });

    expect(survivors.length).toBeGreaterThan(0);
    expect(survivors.length).toBeLessThan(clients.length);
    for (const client of clients) {
      if (survivors.includes(String(client.welcome["connection"]))) {
        expect(await client.next()).toMatchObject({ data: "still here" });
      } else {
        expect(await client.closed).toMatchObject({ code: 1006 });
      }
    }
    const late = await TestClient.welcomed(port, "frank");
    const { status } = await call("POST", "/broadcast", { data: "all" });
    expect(status).toBe(202);
    expect(await late.next()).toMatchObject({ data: "all" });
  });
});
