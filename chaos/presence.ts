import { call } from "./api.ts";
import type { Checker } from "./checker.ts";
import type { Client } from "./client.ts";
import { streamOf, topics } from "./topics.ts";
import { until } from "./until.ts";

/** What {@link checkPresence} compares. */
interface PresenceOptions {
  readonly checker: Checker;
  readonly clients: readonly Pick<Client, "name" | "user" | "isConnected">[];
  readonly users: readonly string[];
  /** Of all replicas: each must say the same. */
  readonly ports: readonly number[];
  /** How long ghosts of connections that broke may stay, in ms. */
  readonly timeoutMs: number;
}

/** Compares what the replicas say of who is there with who is, once all faults are over. */
export async function checkPresence(options: PresenceOptions): Promise<void> {
  const { checker, ports, timeoutMs } = options;
  for (const port of ports) {
    let differences: string[] = [];
    const agrees = async () => {
      differences = [...(await differencesInUsers(port, options)), ...(await differencesInTopics(port, options))];
      return differences.length === 0;
    };
    await until("presence agrees", agrees, timeoutMs).catch((error: Error) => {
      if (differences.length === 0) differences.push(`cannot be read: ${error.cause}`);
    });
    for (const detail of differences) checker.violate({ kind: "presence", detail });
  }
}

async function differencesInUsers(port: number, { clients, users }: PresenceOptions): Promise<string[]> {
  const { text } = await call(port, "POST", "/presence", JSON.stringify({ users }));
  const found = (JSON.parse(text) as { users: { user: string; connections: number }[] }).users;
  return found.flatMap(({ user, connections }) => {
    const connected = clients.filter((client) => client.user === user && client.isConnected).length;
    return connections === connected ? [] : `${user} has ${connected} connections, and is said to have ${connections}`;
  });
}

async function differencesInTopics(port: number, { checker, clients }: PresenceOptions): Promise<string[]> {
  const differences: string[] = [];
  for (const topic of Object.values(topics).flat()) {
    const { text } = await call(port, "GET", `/topics/${topic}`);
    const found = JSON.parse(text) as { subscribers: number; users: string[] };
    const names = checker.subscribersOf(streamOf(topic));
    const users = new Set(clients.filter(({ name }) => names.includes(name)).map(({ user }) => user));
    if (found.subscribers !== names.length) {
      differences.push(`${topic} has ${names.length} subscribers, and is said to have ${found.subscribers}`);
    }
    const said = new Set(found.users);
    const wrong = [...users, ...said].filter((user) => !users.has(user) || !said.has(user));
    if (wrong.length > 0) differences.push(`${topic}: wrong about ${wrong.join(", ")}`);
  }
  return differences;
}
