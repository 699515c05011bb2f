import { call, pathOf } from "./api.ts";
import type { Backend } from "./backend.ts";
import type { Checker } from "./checker.ts";
import type { Client } from "./client.ts";
import { checkPresence } from "./presence.ts";
import type { Stored } from "./published.ts";
import type { Publisher } from "./publisher.ts";
import { topicStreams } from "./topics.ts";
import { until } from "./until.ts";

/** What is left to be looked at when the faults are over. */
export interface Remains {
  readonly checker: Checker;
  readonly clients: readonly Client[];
  readonly users: readonly string[];
  readonly backend: Backend;
  /** The work of all who were told to stop. */
  readonly stopping: Promise<unknown>;
  /** Publishes the last message of each stream: whoever has it has come to the end. */
  readonly marker: Publisher;
  readonly port: () => number;
  /** Of all replicas. */
  readonly ports: readonly number[];
}

/** Longest wait, after the faults, until everything has arrived, in ms. */
const settleTimeoutMs = 30_000;

/** Waits until everybody has everything, and looks for what is missing. */
export async function settle(remains: Remains, interrupted: AbortSignal): Promise<void> {
  const { checker, clients, users, backend, stopping, marker, port, ports } = remains;
  for (const { subscriptions } of clients) subscriptions.settle();
  const streams = ["broadcast", ...users.map((user) => `user:${user}`), ...topicStreams];
  const marking = () => Promise.all(streams.map((stream) => marker.publish(stream)));
  if (!(await settles(stopping)) || !(await settles(marking()))) {
    checker.violate({ kind: "protocol", detail: "calls of the API still fail after the faults" });
    return;
  }
  for (const stream of streams) await readHistory(stream, port, checker);
  for (const user of users) {
    const ofService = await backend.streamsOf(user, settleTimeoutMs);
    for (const client of clients.filter((one) => one.user === user)) {
      checker.expect(client.name, [...ofService, ...client.subscriptions.wanted]);
    }
  }
  await holds(() => checker.behind === 0 || interrupted.aborted);
  if (!interrupted.aborted) await checkPresence({ checker, clients, users, ports, timeoutMs: settleTimeoutMs });
  checker.finish();
}

/** True when the work is done in time. */
async function settles(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  void work.then(() => {
    done = true;
  });
  return holds(() => done);
}

/** True when the condition holds in time. */
function holds(condition: () => boolean): Promise<boolean> {
  return until("the run settles", condition, settleTimeoutMs).then(
    () => true,
    () => false,
  );
}

async function readHistory(stream: string, port: () => number, checker: Checker): Promise<void> {
  const stored: Stored[] = [];
  for (let after: string | undefined; ; after = stored.at(-1)?.id) {
    const { epoch, messages } = await readPage(stream, after, port);
    if (messages.length === 0) return checker.stored(stream, epoch, stored);
    stored.push(...messages.map(({ id, data }) => ({ id, key: data.key })));
  }
}

/** A replica may still be on its way back to Redis: then it says so, and another may be asked. */
async function readPage(stream: string, after: string | undefined, port: () => number): Promise<HistoryAnswer> {
  let page: HistoryAnswer | undefined;
  const isRead = async () => {
    const answer = await call(port(), "GET", `${pathOf(stream)}?limit=1000${after ? `&after=${after}` : ""}`);
    if (answer.status === 200) page = JSON.parse(answer.text) as HistoryAnswer;
    return page !== undefined;
  };
  await until(`the history of ${stream} can be read`, isRead, settleTimeoutMs);
  return page as unknown as HistoryAnswer;
}

interface HistoryAnswer {
  readonly epoch: string;
  readonly messages: readonly { readonly id: string; readonly data: { readonly key: string } }[];
}
