import { describe, expect, it, onTestFinished } from "vitest";
import type { Broker, BrokerHandler, BrokerOptions, Message, Publication } from "../../src/broker/broker.ts";
import { parseId } from "../../src/protocol/positions.ts";
import { broadcastStream, topicStream, userStream } from "../../src/protocol/streams.ts";
import { until } from "../support/service.ts";

/** Makes the brokers of one world: of replicas that share whatever they share. In memory there is just one. */
export type BrokerWorld = (history: BrokerOptions) => () => Broker;

/** A broker, and what it reported. */
interface Replica {
  readonly broker: Broker;
  readonly received: Message[];
  readonly questions: unknown[];
}

const alice = userStream("alice");
const bob = userStream("bob");

/** What every broker promises, whatever stands behind it. */
export function describeBroker(name: string, world: BrokerWorld): void {
  const history = { historySize: 1000, historyTtlSeconds: 3600, idempotencyTtlSeconds: 3600 };

  async function replica(create: () => Broker, answer: unknown = "here"): Promise<Replica> {
    const received: Message[] = [];
    const questions: unknown[] = [];
    const broker = create();
    const connected = Promise.withResolvers<void>();
    const handler: BrokerHandler = {
      onMessage: (message) => void received.push(message),
      onQuestion: (_, question) => {
        questions.push(question);
        return answer;
      },
      onExternalPublish: () => {},
      onConnected: () => connected.resolve(),
    };
    broker.start(handler);
    onTestFinished(() => broker.close());
    await connected.promise;
    await until(() => broker.up);
    return { broker, received, questions };
  }

  const one = (options: Partial<BrokerOptions> = {}) => replica(world({ ...history, ...options }));

  describe(name, () => {
    it("numbers the messages of a stream from 1 without a hole, each stream on its own", async () => {
      const { broker } = await one();
      const ids: string[] = [];
      for (const stream of [alice, alice, bob, broadcastStream, alice]) {
        ids.push((await broker.publish(stream, publication())).id);
      }
      expect(ids.map((id) => parseId(id)?.offset)).toEqual([1, 2, 1, 1, 3]);
      expect(ids.map((id) => parseId(id)?.scope)).toEqual(["user", "user", "user", "broadcast", "user"]);
      expect(new Set(ids).size).toBe(5);
    });

    it("keeps the epoch of a stream from one message to the next", async () => {
      const { broker } = await one();
      const first = parseId((await broker.publish(alice, publication())).id);
      const second = parseId((await broker.publish(alice, publication())).id);
      expect(second?.epoch).toBe(first?.epoch);
    });

    it("hands a message to a subscribed replica whole, with its bytes as they were", async () => {
      const { broker, received } = await one();
      await broker.subscribe([alice]);
      const body = '"scope":"user","data":{"ü":1e400,"z":"\\u0000\n"},"ts":1}';
      const { id } = await broker.publish(alice, publication({ body, ts: 17, collapse: "a b\n{}" }));
      await until(() => received.length === 1);
      expect(received[0]).toMatchObject({ stream: alice, id, ts: 17, collapse: "a b\n{}", expiresAtMs: 0 });
      expect(received[0]?.position).toEqual({ epoch: parseId(id)?.epoch, offset: 1 });
      expect(received[0]?.body.toString()).toBe(body);
    });

    it("hands nothing of a stream to a replica that is not subscribed to it", async () => {
      const { broker, received } = await one();
      await broker.subscribe([bob]);
      expect((await broker.publish(alice, publication())).receivers).toBe(0);
      await broker.publish(bob, publication());
      await until(() => received.length === 1);
      expect(received.map(({ stream }) => stream.name)).toEqual(["bob"]);
    });

    it("hands over nothing any more after the subscription ended", async () => {
      const { broker, received } = await one();
      await broker.subscribe([alice, bob]);
      broker.unsubscribe(alice);
      await broker.publish(alice, publication());
      await broker.publish(bob, publication());
      await until(() => received.length === 1);
      expect(received.map(({ stream }) => stream.name)).toEqual(["bob"]);
    });

    it("subscribes anew after the subscription ended", async () => {
      const { broker, received } = await one();
      await broker.subscribe([alice]);
      broker.unsubscribe(alice);
      await broker.subscribe([alice]);
      await broker.publish(alice, publication());
      await until(() => received.length === 1);
    });

    it("says where a stream stands when it subscribes, also one that never had a message", async () => {
      const { broker } = await one();
      const { id } = await broker.publish(alice, publication());
      const [first, second] = await broker.subscribe([alice, bob]);
      expect(first).toMatchObject({ epoch: parseId(id)?.epoch, offset: 1 });
      expect(second?.offset).toBe(0);
      const next = parseId((await broker.publish(bob, publication())).id);
      expect(next).toMatchObject({ epoch: second?.epoch, offset: 1 });
    });

    it("hands 500 concurrent publishes to one user over in offset order without a hole", async () => {
      const { broker, received } = await one();
      await broker.subscribe([alice]);
      const published = await Promise.all(Array.from({ length: 500 }, () => broker.publish(alice, publication())));
      await until(() => received.length === 500);
      const offsets = Array.from({ length: 500 }, (_, index) => index + 1);
      expect(received.map(({ position }) => position?.offset)).toEqual(offsets);
      expect(published.map(({ id }) => parseId(id)?.offset ?? 0).toSorted((a, b) => a - b)).toEqual(offsets);
    });

    it("hands a live-only message over without storing or numbering it", async () => {
      const { broker, received } = await one();
      await broker.subscribe([alice]);
      const { id } = await broker.publish(alice, publication({ live: true }));
      const stored = await broker.publish(alice, publication());
      await until(() => received.length === 2);
      expect(id).toMatch(/^l-/);
      expect(received.map((message) => [message.id, message.position?.offset])).toEqual([
        [id, undefined],
        [stored.id, 1],
      ]);
      expect((await broker.history(alice, 0, 10)).messages.map((message) => message.id)).toEqual([stored.id]);
    });

    it("gives every live-only message an id of its own", async () => {
      const { broker } = await one();
      const ids = await Promise.all([1, 2, 3].map(() => broker.publish(alice, publication({ live: true }))));
      expect(new Set(ids.map(({ id }) => id)).size).toBe(3);
    });

    it("reads history behind a position, page by page", async () => {
      const { broker } = await one();
      for (let n = 1; n <= 5; n++) await broker.publish(alice, publication({ body: `"n":${n}}`, ts: Date.now() }));
      const page = await broker.history(alice, 1, 2);
      expect(page).toMatchObject({ first: 1, last: 5, reaches: 3 });
      expect(page.messages.map(({ body }) => body.toString())).toEqual(['"n":2}', '"n":3}']);
      const rest = await broker.history(alice, page.reaches, 2);
      expect(rest.messages.map(({ position }) => position?.offset)).toEqual([4, 5]);
      expect(rest.reaches).toBe(5);
      expect((await broker.history(alice, 5, 2)).messages).toEqual([]);
    });

    it("stores a message as it hands it over", async () => {
      const { broker, received } = await one();
      await broker.subscribe([alice]);
      await broker.publish(alice, publication({ collapse: "k", expiresAtMs: Date.now() + 60_000 }));
      await until(() => received.length === 1);
      const { messages } = await broker.history(alice, 0, 10);
      expect(messages.map(plain)).toEqual(received.map(plain));
    });

    it("has no history of a stream that never had a message", async () => {
      const { broker } = await one();
      expect(await broker.history(topicStream("t"), 0, 10)).toMatchObject({
        first: 1,
        last: 0,
        reaches: 0,
        messages: [],
      });
    });

    it("keeps as many messages of a stream as it is told, the newest", async () => {
      const { broker } = await one({ historySize: 3 });
      for (let n = 1; n <= 5; n++) await broker.publish(alice, publication());
      const { first, last, messages } = await broker.history(alice, 0, 10);
      expect([first, last]).toEqual([3, 5]);
      expect(messages.map(({ position }) => position?.offset)).toEqual([3, 4, 5]);
    });

    it("leaves out of history what is too old or has expired, and goes on counting", async () => {
      const { broker } = await one();
      const now = Date.now();
      await broker.publish(alice, publication({ ts: now - 3_601_000 }));
      await broker.publish(alice, publication({ ts: now, expiresAtMs: now - 1 }));
      const { id } = await broker.publish(alice, publication({ ts: now, expiresAtMs: now + 60_000 }));
      const page = await broker.history(alice, 0, 10);
      expect(page.messages.map((message) => message.id)).toEqual([id]);
      expect(page).toMatchObject({ last: 3, reaches: 3 });
    });

    it("says how far a page reaches although all of its messages have expired", async () => {
      const { broker } = await one();
      const now = Date.now();
      for (let n = 1; n <= 3; n++) await broker.publish(alice, publication({ ts: now, expiresAtMs: now - 1 }));
      const { id } = await broker.publish(alice, publication({ ts: now }));
      let after = 0;
      const found: string[] = [];
      for (let pages = 0; after < 4 && pages < 4; pages++) {
        const page = await broker.history(alice, after, 2);
        found.push(...page.messages.map((message) => message.id));
        expect(page.reaches).toBeGreaterThan(after);
        after = page.reaches;
      }
      expect(found).toEqual([id]);
    });

    it("counts the connections here, and itself not among the other replicas", async () => {
      const { broker } = await one();
      expect((await broker.publish(alice, publication())).receivers).toBe(0);
      await broker.subscribe([alice]);
      expect((await broker.publish(alice, publication(), 3)).receivers).toBe(3);
      expect((await broker.publish(alice, publication({ live: true }), 3)).receivers).toBe(3);
    });

    it("publishes once under an idempotency key, and gives the first answer again", async () => {
      const { broker, received } = await one();
      await broker.subscribe([alice]);
      const idempotency = { key: "order 17", fingerprint: "f" };
      const all = await Promise.all([5, 6, 7].map((here) => broker.publish(alice, publication({ idempotency }), here)));
      const [first, ...others] = all;
      expect(first).toEqual({ id: expect.stringMatching(/-1$/), receivers: 5, replayed: false });
      for (const other of others) expect(other).toEqual({ ...first, replayed: true });
      await broker.publish(alice, publication({ idempotency: { key: "order 18", fingerprint: "f" } }));
      await until(() => received.length === 2);
      expect((await broker.history(alice, 0, 10)).messages.map(({ position }) => position?.offset)).toEqual([1, 2]);
    });

    it("gives a live-only message's first answer again too", async () => {
      const { broker } = await one();
      const given = publication({ live: true, idempotency: { key: "k", fingerprint: "f" } });
      const first = await broker.publish(alice, given, 1);
      expect(await broker.publish(alice, given, 2)).toEqual({ ...first, replayed: true });
    });

    it("refuses an idempotency key that was used for something else, and publishes nothing", async () => {
      const { broker } = await one();
      await broker.publish(alice, publication({ idempotency: { key: "k", fingerprint: "one" } }));
      const other = broker.publish(alice, publication({ idempotency: { key: "k", fingerprint: "two" } }));
      await expect(other).rejects.toMatchObject({ code: "invalid" });
      expect((await broker.history(alice, 0, 10)).last).toBe(1);
      const bobs = await broker.publish(bob, publication({ idempotency: { key: "k", fingerprint: "two" } }));
      expect(bobs.replayed).toBe(false);
    });

    it("binds a key that belongs to no stream to one fingerprint", async () => {
      const { broker } = await one();
      await broker.claim({ key: "k", fingerprint: "one" });
      await broker.claim({ key: "k", fingerprint: "one" });
      await expect(broker.claim({ key: "k", fingerprint: "two" })).rejects.toMatchObject({ code: "invalid" });
      await broker.claim({ key: "other", fingerprint: "two" });
    });

    it("counts the publishes of each key over all replicas, and says when there is room again", async () => {
      const create = world({ ...history, maxPublishesPerSecond: 10 });
      const [here, there] = [(await replica(create)).broker, (await replica(create)).broker];
      expect([await here.countPublishes("shop", 4), await there.countPublishes("shop", 6)]).toEqual([0, 0]);
      for (const broker of [here, there]) {
        const waitMs = await broker.countPublishes("shop", 1);
        expect(waitMs).toBeGreaterThan(0);
        expect(waitMs).toBeLessThanOrEqual(1000);
      }
      expect(await here.countPublishes("audit: {1}", 10)).toBe(0);
      await until(async () => (await there.countPublishes("shop", 10)) === 0);
      expect(await here.countPublishes("shop", 1)).toBeGreaterThan(0);
    });

    it("lets more than a second's worth of publishes through at once, and makes up for it", async () => {
      const { broker } = await one({ maxPublishesPerSecond: 10 });
      const start = Date.now();
      expect(await broker.countPublishes("shop", 25)).toBe(0);
      const waitMs = await broker.countPublishes("shop", 1);
      expect(waitMs).toBeGreaterThan(2000);
      expect(waitMs).toBeLessThanOrEqual(3000);
      await until(async () => (await broker.countPublishes("shop", 1)) === 0);
      expect(Date.now() - start).toBeGreaterThan(2900);
    });

    it("counts no publishes without a limit", async () => {
      const { broker } = await one();
      for (let n = 0; n < 10; n++) expect(await broker.countPublishes("shop", 1_000_000)).toBe(0);
    });

    it("keeps revocations until their time is over, each once", async () => {
      const { broker } = await one();
      const soon = Date.now() + 100;
      await broker.addRevocation("one", Date.now() + 60_000);
      await broker.addRevocation("one", Date.now() + 60_000);
      await broker.addRevocation("two", soon);
      expect((await broker.revocations()).toSorted()).toEqual(["one", "two"]);
      await until(async () => (await broker.revocations()).length === 1);
      expect(Date.now()).toBeGreaterThanOrEqual(soon);
      expect(await broker.revocations()).toEqual(["one"]);
    });

    it("hands a reminder out when it is due and not before, oldest first, as many as are wanted", async () => {
      const { reminders } = (await one()).broker;
      const now = Date.now();
      for (const [text, dueMs] of [
        ["late ü", 20],
        ["early", 10],
        ["later", 30],
      ] as const) {
        expect(await reminders.add(text, now + dueMs)).toBe(true);
      }
      expect(await reminders.take(now + 9, 10, 1000)).toEqual([]);
      expect(await reminders.take(now + 20, 1, 1000)).toEqual(["early"]);
      expect(await reminders.take(now + 30, 10, 1000)).toEqual(["late ü", "later"]);
    });

    it("hands a reminder to one of those who take at once, and again after its lease unless it was forgotten", async () => {
      const create = world(history);
      const { broker } = await replica(create);
      const { broker: other } = await replica(create);
      const now = Date.now();
      const texts = Array.from({ length: 20 }, (_, index) => `text ${index}`);
      for (const text of texts) await broker.reminders.add(text, now);
      const takers = Array.from({ length: 8 }, (_, n) => (n % 2 ? broker : other).reminders.take(now, 5, 1000));
      expect((await Promise.all(takers)).flat().toSorted()).toEqual(texts.toSorted());
      await broker.reminders.forget(texts.slice(1));
      await broker.reminders.forget([]);
      expect(await other.reminders.take(now + 999, 10, 1000)).toEqual([]);
      expect(await other.reminders.take(now + 1000, 10, 1000)).toEqual(["text 0"]);
    });

    it("keeps a reminder once, as it was first, until it is forgotten", async () => {
      const { reminders } = (await one()).broker;
      const now = Date.now();
      await reminders.add("one", now);
      await reminders.add("one", now + 1000);
      expect(await reminders.take(now, 10, 1000)).toEqual(["one"]);
      await reminders.forget(["one", "another"]);
      expect(await reminders.take(now + 5000, 10, 1000)).toEqual([]);
      await reminders.add("one", now + 6000);
      expect(await reminders.take(now + 6000, 10, 1000)).toEqual(["one"]);
    });

    it("forgets an idempotency key when its time is over", async () => {
      const { broker } = await one({ idempotencyTtlSeconds: 0.05 });
      const given = publication({ idempotency: { key: "k", fingerprint: "f" } });
      await broker.publish(alice, given);
      await until(async () => !(await broker.publish(alice, given)).replayed);
    });

    it("keeps of the messages with one collapse key the newest, in its place, and calls nothing lost", async () => {
      const { broker, received } = await one({ historySize: 4 });
      await broker.subscribe([alice]);
      for (const collapse of ["price", undefined, "price", "state", "price"]) {
        await broker.publish(alice, publication({ collapse }));
      }
      const page = await broker.history(alice, 0, 10);
      expect(page.messages.map(({ position }) => position?.offset)).toEqual([2, 4, 5]);
      expect(page).toMatchObject({ first: 1, last: 5, reaches: 5 });
      await until(() => received.length === 5);
      expect((await broker.history(bob, 0, 10)).messages).toEqual([]);
    });

    it("collapses nothing with a message that history holds no longer", async () => {
      const { broker } = await one({ historySize: 2 });
      await broker.publish(alice, publication({ collapse: "k" }));
      for (let n = 0; n < 3; n++) await broker.publish(alice, publication());
      await broker.publish(alice, publication({ collapse: "k" }));
      const page = await broker.history(alice, 0, 10);
      expect(page.messages.map(({ position }) => position?.offset)).toEqual([4, 5]);
      expect(page.first).toBe(4);
    });

    it("says what is lost when all that was kept is too old, and when the stream goes on then", async () => {
      const { broker } = await one();
      const old = Date.now() - 3_601_000;
      for (let n = 0; n < 3; n++) await broker.publish(alice, publication({ ts: old }));
      expect(await broker.history(alice, 0, 10)).toMatchObject({ first: 4, last: 3, messages: [] });
      await broker.publish(alice, publication());
      const page = await broker.history(alice, 0, 10);
      expect([page.first, page.messages.map(({ position }) => position?.offset)]).toEqual([4, [4]]);
    });

    it("asks the replicas subscribed to a stream, and nobody else", async () => {
      const { broker, questions } = await one();
      expect(await broker.ask(alice, { kind: "who" })).toEqual({ answers: [], replicas: 0 });
      await broker.subscribe([alice]);
      expect(await broker.ask(alice, { kind: "who", ü: [1] })).toEqual({ answers: ["here"], replicas: 1 });
      expect(questions).toEqual([{ kind: "who", ü: [1] }]);
    });

    it("waits for an answer that takes its time, as long as the asker will", async () => {
      const answer = Promise.withResolvers<string>();
      const { broker, questions } = await replica(world(history), answer.promise);
      await broker.subscribe([alice]);
      expect(await broker.ask(alice, "quick?", { timeoutMs: 50 })).toEqual({ answers: [], replicas: 1 });
      const asked = broker.ask(alice, "slow?", { timeoutMs: 60_000 });
      await until(() => questions.length === 2);
      answer.resolve("at last");
      expect(await asked).toEqual({ answers: ["at last"], replicas: 1 });
    });

    it("goes on without whoever fails to answer, or has nothing to say", async () => {
      const failed = Promise.reject(new Error("no"));
      failed.catch(() => {});
      for (const answer of [failed, Promise.resolve(undefined)]) {
        const { broker, questions } = await replica(world(history), answer);
        await broker.subscribe([bob]);
        expect(await broker.ask(bob, "?", { timeoutMs: 50 })).toEqual({ answers: [], replicas: 1 });
        expect(questions).toEqual(["?"]);
      }
    });

    it("is content with the first answer that the asker wants, and gives up when the asker does", async () => {
      const answer = Promise.withResolvers<string>();
      const { broker, questions } = await replica(world(history), answer.promise);
      await broker.subscribe([alice]);
      const asker = new AbortController();
      const given = broker.ask(alice, "?", { timeoutMs: 60_000, signal: asker.signal });
      await until(() => questions.length === 1);
      asker.abort();
      expect(await given).toEqual({ answers: [], replicas: 1 });
      const isLast = (one: unknown) => one === "yes";
      const asked = broker.ask(alice, "?", { timeoutMs: 60_000, isLast });
      await until(() => questions.length === 2);
      answer.resolve("yes");
      expect(await asked).toEqual({ answers: ["yes"], replicas: 1 });
    });

    it("knows the stream of an epoch, from its first message or its first subscription on", async () => {
      const { broker } = await one();
      for (const stream of [alice, topicStream("t:{1} ü")]) {
        const { id } = await broker.publish(stream, publication());
        expect(await broker.streamOf(parseId(id)?.epoch ?? "")).toEqual(stream);
      }
      const [standing] = await broker.subscribe([bob]);
      const { epoch } = standing as { epoch: string };
      await until(async () => (await broker.streamOf(epoch)) !== undefined);
      expect(await broker.streamOf(epoch)).toEqual(bob);
      expect(await broker.streamOf("0123456789ab")).toBeUndefined();
    });

    it("keeps how far a stream was acked, in its present epoch, and never less", async () => {
      const { broker } = await one();
      const acked = async () => (await broker.history(alice, 0, 1)).acked;
      expect(await acked()).toBe(0);
      const ids = [];
      for (let n = 0; n < 11; n++) ids.push((await broker.publish(alice, publication())).id);
      const epoch = parseId(ids[0] ?? "")?.epoch ?? "";
      for (const [offset, known] of [
        [2, 2],
        [11, 11],
        [9, 11],
      ] as const) {
        await broker.keepAcked(alice, { epoch, offset });
        expect(await acked()).toBe(known);
      }
      await broker.keepAcked(alice, { epoch: "another", offset: 11 });
      await broker.keepAcked(bob, { epoch: "another", offset: 11 });
      expect([await acked(), (await broker.history(bob, 0, 1)).acked]).toEqual([11, 0]);
    });

    it("can do its work", async () => {
      const { broker } = await one();
      await broker.check();
      expect(broker.up).toBe(true);
    });

    it("keeps streams apart whatever stands in their names", async () => {
      const { broker, received } = await one();
      const names = ["a", "a}", "{a", "a b", "a\nb", "ü:{}", "u:a", "*", "a\u0000"];
      await broker.subscribe(names.map(userStream));
      for (const [index, user] of names.entries()) {
        await broker.publish(userStream(user), publication({ body: `"n":${index}}`, ts: Date.now() }));
      }
      await until(() => received.length === names.length);
      expect(received.map(({ stream, position }) => [stream.name, position?.offset])).toEqual(names.map((n) => [n, 1]));
      for (const [index, user] of names.entries()) {
        const { messages } = await broker.history(userStream(user), 0, 10);
        expect(messages.map(({ body }) => body.toString())).toEqual([`"n":${index}}`]);
      }
    });
  });
}

function publication(changes: Partial<Publication> = {}): Publication {
  const ts = Date.now();
  return { body: `"data":1,"ts":${ts}}`, ts, live: false, expiresAtMs: 0, collapse: undefined, ...changes };
}

function plain({ stream, id, position, body, ts, expiresAtMs, collapse }: Message) {
  return { stream: stream.key, id, position, body: body.toString(), ts, expiresAtMs, collapse };
}
