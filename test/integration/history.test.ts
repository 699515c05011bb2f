import { describe, expect, it } from "vitest";
import { type Service, startReplicas, startService, until } from "../support/service.ts";

const text = '{"n":12345678901234567890,"z":-0.0, "a":[1 ,2]}';

describe.each([
  ["in memory", async () => startService()],
  ["on Redis", async () => (await startReplicas(1))[0] as Service],
])("history %s", (_, start) => {
  it("reads the messages of a stream page by page, as they were sent", async () => {
    const { call } = await start();
    const ids: string[] = [];
    for (const path of ["/users/alice/messages", "/broadcast", "/topics/news/messages"]) {
      expect((await call("GET", path)).json).toEqual({ epoch: expect.any(String), first: 1, last: 0, messages: [] });
    }
    for (let n = 0; n < 5; n++) {
      ids.push((await call("POST", "/users/alice/messages", `{"data":${text},"event":"e"}`)).json.id);
    }
    const page = await call("GET", "/users/alice/messages?limit=2");
    expect(page.json).toMatchObject({ epoch: ids[0]?.split("-")[1], first: 1, last: 5 });
    expect(page.json.messages.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2));
    expect(page.json.messages[0]).toMatchObject({ scope: "user", event: "e", ts: expect.any(Number) });
    expect(page.text).toContain(`"data":${text},"ts":`);
    const rest = await call("GET", `/users/alice/messages?after=${ids[1]}`);
    expect(rest.json.messages.map(({ id }: { id: string }) => id)).toEqual(ids.slice(2));
    expect((await call("GET", `/users/alice/messages?after=${ids[4]}`)).json.messages).toEqual([]);
    const elsewhere = ids[2]?.replace(/-\w+-/, "-otherepoch-");
    expect((await call("GET", `/users/alice/messages?after=${elsewhere}`)).json.messages).toHaveLength(5);
  });

  it("reads broadcasts and topics too", async () => {
    const { call } = await start();
    await call("POST", "/broadcast", { data: 1 });
    await call("POST", "/topics/a%20b/messages", { data: 2 });
    expect((await call("GET", "/broadcast")).json.messages).toMatchObject([{ scope: "broadcast", data: 1 }]);
    const topic = (await call("GET", "/topics/a%20b/messages")).json.messages;
    expect(topic).toMatchObject([{ scope: "topic", topic: "a b", data: 2 }]);
  });

  it.each(["after=x", "after=b-abc-1", "after=l-abc-1", "limit=0", "limit=1001", "limit=x", "limit=-1"])(
    "refuses %s",
    async (query) => {
      const { call } = await start();
      const { status, json } = await call("GET", `/users/alice/messages?${query}`);
      expect([status, json.errors[0].path]).toEqual([422, query.split("=")[0]]);
    },
  );

  it("shows of the messages with one collapse key the newest, and none whose time is over", async () => {
    const { call } = await start();
    for (const data of [1, 2, 3]) await call("POST", "/broadcast", { data, collapse: "price" });
    await call("POST", "/broadcast", { data: 4, ttl: 0.001 });
    await call("POST", "/broadcast", { data: 5, ttl: 0 });
    const { json } = await call("GET", "/broadcast");
    expect(json.messages.map(({ data }: { data: number }) => data)).toEqual([3]);
    expect([json.first, json.last]).toEqual([1, 4]);
  });

  it("goes on behind expired messages, however many there are", async () => {
    const { call } = await start();
    const expiring = Array.from({ length: 120 }, (_, n) => ({ to: { user: "alice" }, data: n, ttl: 1 }));
    await call("POST", "/batch", { messages: expiring });
    const { id } = (await call("POST", "/users/alice/messages", { data: "kept" })).json;
    const page = async (query: string) => (await call("GET", `/users/alice/messages?${query}`)).json.messages;
    await until(async () => (await page("limit=1"))[0]?.id === id);
    expect(await page("")).toMatchObject([{ id }]);
    expect(await page(`after=${id}`)).toEqual([]);
  });

  it("ends a page of large messages early, and the next goes on", async () => {
    const { call } = await start();
    const data = "x".repeat(60_000);
    const messages = Array.from({ length: 100 }, () => ({ to: "broadcast", data }));
    await call("POST", "/batch", { messages });
    const first = (await call("GET", "/broadcast?limit=1000")).json.messages;
    expect(first.length).toBeGreaterThan(10);
    expect(first.length).toBeLessThan(100);
    const next = (await call("GET", `/broadcast?limit=1000&after=${first.at(-1).id}`)).json.messages;
    expect(first.length + next.length).toBe(100);
  });
});
