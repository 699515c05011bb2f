import { describe, expect, it } from "vitest";
import type { Frame } from "../support/frame-queue.ts";
import type { Service } from "../support/service.ts";
import { SseClient } from "../support/sse-client.ts";
import { worlds } from "../support/worlds.ts";

const path = "/sse?topic=news&topic=room.1&topic=news";
const topicIds = (lastEventId: string) => lastEventId.split(",").filter((id) => id.startsWith("t-"));

async function publish({ call }: Service, topic: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push((await call("POST", `/topics/${topic}/messages`, { data: n })).json.id);
  return ids;
}

/** Takes the answers to the topics of the URL, by topic, and what comes between them. */
async function subscribed(client: SseClient): Promise<{ answers: Record<string, Frame>; messages: Frame[] }> {
  const answers: Record<string, Frame> = {};
  const messages: Frame[] = [];
  while (Object.keys(answers).length < 2) {
    const frame = await client.next();
    if (frame.type === "message") messages.push(frame);
    else answers[String(frame["ref"])] = frame;
  }
  return { answers, messages };
}

describe.each(worlds)("topics of a stream, $name", ({ start }) => {
  it("are subscribed to by its URL, and resumed by the id of any event", async () => {
    const [one, two, three] = await start();
    const first = await SseClient.welcomed(one.port, "alice", { path });
    const { answers } = await subscribed(first);
    expect(answers["news"]).toMatchObject({
      type: "subscribed",
      topic: "news",
      position: expect.stringMatching(/-0$/),
    });
    expect(answers["room.1"]).toMatchObject({ type: "subscribed", topic: "room.1" });
    const [news, room] = [await publish(two, "news", 5), await publish(three, "room.1", 3)];
    expect((await first.take(8)).map(({ id }) => id).toSorted()).toEqual([...news, ...room].toSorted());
    expect(topicIds(first.lastEventId).toSorted()).toEqual([news[4], room[2]].toSorted());
    // In the middle: behind the third event after the welcome and the two answers.
    const cut = first.ids[5] ?? "";
    first.leave();
    const again = await SseClient.welcomed(two.port, "alice", { path, headers: { "last-event-id": cut } });
    // The welcome says again what is not subscribed to yet: a stream that is cut here is resumed as well.
    expect(topicIds(again.ids[0] ?? "").toSorted()).toEqual(topicIds(cut).toSorted());
    const back = await subscribed(again);
    for (const answer of Object.values(back.answers)) expect(answer).toMatchObject({ recovered: true });
    const missed = [...back.messages, ...(await again.take(5 - back.messages.length))].map(({ id }) => id);
    expect(missed.toSorted()).toEqual(
      [...news, ...room].filter((id) => !first.ids.slice(0, 6).some((ids) => ids.includes(id))).toSorted(),
    );
    expect(topicIds(again.lastEventId).toSorted()).toEqual([news[4], room[2]].toSorted());
  });

  it("may be those of its user, and are left by unsubscribing", async () => {
    const [one, two] = await start();
    await one.call("PUT", "/users/alice/topics/orders");
    const first = await SseClient.welcomed(one.port, "alice");
    expect(await first.next()).toMatchObject({ type: "subscribed", topic: "orders" });
    const [id] = await publish(two, "orders", 1);
    expect(await first.next()).toMatchObject({ id });
    first.leave();
    const [next] = await publish(two, "orders", 1);
    const headers = { "last-event-id": first.lastEventId };
    const again = await SseClient.welcomed(two.port, "alice", { headers });
    expect(await again.next()).toMatchObject({ type: "subscribed", topic: "orders", recovered: true });
    expect(await again.next()).toMatchObject({ id: next });
    await again.send({ type: "subscribe", topic: "news", ref: 1 });
    expect(await again.next()).toMatchObject({ type: "subscribed", topic: "news", ref: 1 });
    expect(topicIds(again.lastEventId)).toHaveLength(2);
    await again.send({ type: "unsubscribe", topic: "news", ref: 2 });
    expect(await again.next()).toMatchObject({ type: "unsubscribed", topic: "news", ref: 2 });
    expect(topicIds(again.lastEventId)).toEqual([next]);
  });

  it("are told apart by error frames where they may not be subscribed to, and positions of no use are let go of", async () => {
    const [one] = await start({ allowAnonymous: true, publicTopics: ["news"] });
    const headers = { "last-event-id": "t-gone-7" };
    const anonymous = await SseClient.welcomed(one.port, undefined, { path });
    const { answers } = await subscribed(anonymous);
    expect(answers["news"]).toMatchObject({ type: "subscribed" });
    expect(answers["room.1"]).toMatchObject({ type: "error", code: "forbidden", ref: "room.1" });
    const alice = await SseClient.welcomed(one.port, "alice", { path, headers });
    expect(topicIds(alice.ids[0] ?? "")).toEqual(["t-gone-7"]);
    await subscribed(alice);
    await expect
      .poll(async () => {
        await publish(one, "news", 1);
        await alice.next();
        return topicIds(alice.lastEventId).length;
      })
      .toBe(2);
    expect((await SseClient.refused(one.port, "alice", { path: "/sse?topic=" })).status).toBe(400);
  });
});

describe.each(worlds)("a request to the client of a stream, $name", ({ start }) => {
  it("is put to it, line breaks and all, and answered by a frame that any replica takes", async () => {
    const [one, two, three] = await start();
    const client = await SseClient.welcomed(one.port, "alice");
    const answer = two.call("POST", "/users/alice/requests", '{"data":{\n"n":\r\n1.0}}');
    const asked = await client.nextText();
    expect(asked).toMatch(/"data":{\n"n":\n1.0}}$/);
    const reply = `{"type":"reply","id":"${JSON.parse(asked).id}","data":{"big":12345678901234567890}}`;
    expect((await client.post(reply, { port: three.port })).status).toBe(202);
    const { status, text } = await answer;
    expect([status, text]).toEqual([200, expect.stringContaining('"data":{"big":12345678901234567890}')]);
  });
});
