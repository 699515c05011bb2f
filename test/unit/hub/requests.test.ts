import { beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryBroker } from "../../../src/broker/memory-broker.ts";
import { AskedRequests } from "../../../src/hub/asked-requests.ts";
import { Requests, type RequestsOptions } from "../../../src/hub/requests.ts";
import { userStream } from "../../../src/protocol/streams.ts";
import { FakeBroker, settled } from "../../support/fake-broker.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import { until } from "../../support/service.ts";

const question = { kind: "request", id: "r1", event: "ask", json: '{"n":1.0}', timeoutMs: 5000 } as const;
const frame = { type: "request", id: "r1", event: "ask", json: '{"n":1.0}' };
const notFound = (ref?: number) => expect.objectContaining({ type: "error", code: "not_found", ...(ref && { ref }) });

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

describe("AskedRequests", () => {
  const asked = (requests: AskedRequests) => [requests.size, requests.connectionCount];

  it("are put to every connection, and answered by the first that replies", async () => {
    const requests = new AskedRequests();
    const [one, two] = [new FakeConnection("alice"), new FakeConnection("alice")];
    const answer = requests.ask(question, [one, two]);
    expect([one.frames, two.frames]).toEqual([[frame], [frame]]);
    expect(requests.reply(two, "r1", "1e0", undefined)).toBeUndefined();
    expect(await answer).toEqual({ kind: "reply", connection: two.id, json: "1e0" });
    for (const late of [one, two]) expect(requests.reply(late, "r1", "2", 7)).toEqual(notFound(7));
    requests.over("r1", two.id);
    expect([one.frames, two.frames]).toEqual([[frame], [frame]]);
    expect([...asked(requests), vi.getTimerCount()]).toEqual([0, 0, 0]);
  });

  it("tell who was first here, but not everywhere", async () => {
    const requests = new AskedRequests();
    const [one, two] = [new FakeConnection("alice"), new FakeConnection("alice")];
    void requests.ask(question, [one, two]);
    requests.reply(one, "r1", "1", 7);
    requests.over("r1", "another");
    expect([one.frames, two.frames]).toEqual([[frame, notFound(7)], [frame]]);
    expect([...asked(requests), vi.getTimerCount()]).toEqual([0, 0, 0]);
  });

  it("take no reply of a connection that was not asked, and do not say that it is there", async () => {
    const requests = new AskedRequests();
    const [alice, mallory] = [new FakeConnection("alice"), new FakeConnection("mallory")];
    const answer = requests.ask(question, [alice]);
    const refused = requests.reply(mallory, "r1", "1", undefined);
    expect(refused).toEqual(notFound());
    expect(requests.reply(mallory, "no such request", "1", undefined)).toEqual(refused);
    requests.reply(alice, "r1", "2", undefined);
    expect(await answer).toMatchObject({ connection: alice.id });
  });

  it("are over when all who were asked have gone, and not before", async () => {
    const requests = new AskedRequests();
    const [one, two] = [new FakeConnection("alice"), new FakeConnection("alice")];
    const answer = requests.ask(question, [one, two]);
    const answered = vi.fn();
    void Promise.resolve(answer).then(answered);
    requests.gone(one);
    await vi.advanceTimersByTimeAsync(10);
    expect(answered).not.toHaveBeenCalled();
    requests.gone(two);
    expect(await answer).toEqual({ kind: "gone" });
    expect([...asked(requests), vi.getTimerCount()]).toEqual([0, 0, 0]);
  });

  it("are over when the request cannot even be written to anybody", async () => {
    const requests = new AskedRequests();
    const [one, two] = [new FakeConnection("alice"), new FakeConnection("alice")];
    for (const slow of [one, two]) vi.spyOn(slow, "send").mockImplementation(() => requests.gone(slow));
    expect(await requests.ask(question, [one, two])).toEqual({ kind: "gone" });
    expect(asked(requests)).toEqual([0, 0]);
  });

  it("keep what was replied by a connection that went then", async () => {
    const requests = new AskedRequests();
    const one = new FakeConnection("alice");
    const answer = requests.ask(question, [one]);
    requests.reply(one, "r1", "1", undefined);
    requests.gone(one);
    expect(await answer).toMatchObject({ kind: "reply" });
    expect([...asked(requests), vi.getTimerCount()]).toEqual([0, 0, 0]);
  });

  it("end by themselves where nobody says that they are over", async () => {
    const requests = new AskedRequests();
    const one = new FakeConnection("alice");
    const silent = requests.ask(question, [one]);
    const replied = requests.ask({ ...question, id: "r2" }, [one]);
    requests.reply(one, "r2", "1", undefined);
    await vi.advanceTimersByTimeAsync(5000);
    expect([await silent, await replied]).toEqual([undefined, expect.objectContaining({ kind: "reply" })]);
    expect([...asked(requests), vi.getTimerCount()]).toEqual([0, 0, 0]);
    requests.over("r1", undefined);
    expect(one.frames).toHaveLength(2);
  });

  it("are answered at once where nobody is, and where too many wait", async () => {
    const requests = new AskedRequests(1);
    const one = new FakeConnection("alice");
    expect(requests.ask(question, [])).toEqual({ kind: "offline" });
    void requests.ask(question, [one]);
    expect(requests.ask({ ...question, id: "r2" }, [one])).toEqual({ kind: "full" });
    expect(one.frames).toEqual([frame]);
    requests.close();
    expect([...asked(requests), vi.getTimerCount()]).toEqual([0, 0, 0]);
  });
});

describe("Requests", () => {
  const heard = (answers: unknown[], replicas = answers.length) => ({ answers, replicas });
  const offline = { kind: "offline" };
  const reply = { kind: "reply", connection: "c1", json: "1" };
  const over = expect.objectContaining({ kind: "request_over" });

  function create(options: Partial<RequestsOptions> = {}) {
    const broker = new FakeBroker();
    const ask = vi.spyOn(broker, "ask");
    const results: string[] = [];
    const onRequest = (result: string) => void results.push(result);
    const requests = new Requests({ broker, maxPayloadBytes: 10, onRequest, ...options }, () => []);
    return { requests, ask, results };
  }

  it.each([
    ["nobody is asked", heard([]), "not_found", "no connection", "offline"],
    ["all that are asked have nobody", heard([offline, offline]), "not_found", "no connection", "offline"],
    ["one says nothing", heard([offline], 2), "no_reply", "within 10000 ms", "timeout"],
    ["all have gone", heard([offline, { kind: "gone" }]), "no_reply", "has gone", "timeout"],
    ["too many wait", heard([{ kind: "full" }]), "unavailable", "too many", "failed"],
  ])("fail when %s", async (_, answers, code, detail, result) => {
    const { requests, ask, results } = create();
    ask.mockResolvedValueOnce(answers);
    const sent = requests.send("alice", "1");
    await expect(sent).rejects.toMatchObject({ code, message: expect.stringContaining(detail) });
    expect(results).toEqual([result]);
    // Who may still be asked is told that it is over.
    expect(ask.mock.calls.slice(1).map(([, asked]) => asked)).toEqual(
      answers.answers.length < answers.replicas ? [over] : [],
    );
  });

  it("give the first reply, and end the request everywhere", async () => {
    const { requests, ask, results } = create();
    ask.mockResolvedValueOnce(heard([offline, reply], 3));
    expect(await requests.send("alice", "1", { event: "ask", timeoutMs: 77 })).toEqual({ data: "1", connection: "c1" });
    const [[stream, asked, options], ended] = ask.mock.calls as unknown as [
      [unknown, Record<string, unknown>, object],
      unknown[],
    ];
    expect(stream).toEqual(userStream("alice"));
    expect(asked).toEqual({ kind: "request", id: expect.any(String), event: "ask", json: "1", timeoutMs: 77 });
    expect(options).toMatchObject({ timeoutMs: 77 });
    expect(ended).toEqual([stream, { kind: "request_over", id: asked["id"], winner: "c1" }, { timeoutMs: 0 }]);
    expect(results).toEqual(["answered"]);
  });

  it("have ids that nobody can guess, each another", async () => {
    const { requests, ask } = create();
    for (let n = 0; n < 2; n++) await requests.send("alice", "1").catch(() => {});
    const ids = ask.mock.calls.map(([, asked]) => (asked as { id: string }).id);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(ids).size).toBe(2);
  });

  it("are refused when they are wrong, and nobody is asked", async () => {
    const { requests, ask, results } = create();
    for (const timeoutMs of [0, 1.5, 100_001, Number.NaN, -1]) {
      const sent = requests.send("alice", "1", { timeoutMs });
      await expect(sent).rejects.toMatchObject({ code: "invalid", errors: [{ path: "timeoutMs" }] });
    }
    const wrong = requests.send("", "1", { event: "x".repeat(129) });
    await expect(wrong).rejects.toMatchObject({ errors: [{ path: "user" }, { path: "event" }] });
    await expect(requests.send("alice", '"123456789"')).rejects.toMatchObject({ code: "too_large" });
    expect(results).toEqual(Array.from({ length: 7 }, () => "failed"));
    expect(ask).not.toHaveBeenCalled();
  });

  it("know nothing of other questions", () => {
    const { requests } = create();
    for (const other of [{ kind: "stats" }, null, "request", {}]) {
      expect(requests.answer(userStream("alice"), other)).toBeUndefined();
    }
  });

  it("leave nothing behind, whatever ends them", async () => {
    vi.useRealTimers();
    const broker = new MemoryBroker({
      historySize: 1,
      historyTtlSeconds: 1,
      idempotencyTtlSeconds: 1,
      memoryHistoryBytes: 1,
    });
    const connections = [new FakeConnection("alice"), new FakeConnection("alice")];
    const requests = new Requests({ broker, maxPayloadBytes: 1000 }, () => connections);
    broker.start({
      onMessage: () => {},
      onQuestion: (stream, asked) => requests.answer(stream, asked),
      onExternalPublish: () => {},
      onConnected: () => {},
    });
    await broker.subscribe([userStream("alice")]);
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const caller = new AbortController();
    const sent = Array.from({ length: 10_000 }, (_, n) =>
      requests.send("alice", "1", n % 4 === 0 ? { timeoutMs: 3000 } : n % 4 === 1 ? { signal: caller.signal } : {}),
    );
    const results = Promise.allSettled(sent);
    await settled();
    expect(requests.waiting).toEqual({ requests: 10_000, connections: 2 });
    caller.abort();
    for (const [n, one] of connections[0]?.frames.entries() ?? []) {
      if (n % 4 === 2 && one.type === "request") {
        requests.reply(connections[0] as FakeConnection, { type: "reply", id: one.id, json: "1" });
      }
    }
    await Promise.allSettled(sent.filter((_, n) => n % 4 !== 3));
    for (const connection of connections) requests.gone(connection);
    const counts: Record<string, number> = {};
    for (const result of await results) {
      const what = result.status === "fulfilled" ? "answered" : result.reason.message;
      counts[what] = (counts[what] ?? 0) + 1;
    }
    expect(counts).toEqual({
      answered: 2500,
      "nobody replied within 3000 ms": 2500,
      "the request was given up": 2500,
      "every connection that was asked has gone": 2500,
    });
    await settled();
    expect(requests.waiting).toEqual({ requests: 0, connections: 0 });
    // Those that tell of the end wait for nothing, but a turn.
    await until(() => timers() <= before);
    await broker.close();
  });
});
