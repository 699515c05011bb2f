import { describe, expect, it } from "vitest";
import { type Service, startReplicas, startService } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";

const key = (value: string) => ({ "idempotency-key": value });

describe.each([
  ["in memory", async () => startService()],
  ["on Redis", async () => (await startReplicas(1))[0] as Service],
])("an Idempotency-Key %s", (_, start) => {
  it("answers the first answer again and publishes nothing", async () => {
    const { port, call } = await start();
    const client = await TestClient.welcomed(port, "alice");
    const first = await call("POST", "/users/alice/messages", { data: 1 }, key("order 17"));
    expect(first.headers.get("idempotency-replayed")).toBeNull();
    await TestClient.welcomed(port, "alice");
    const again = await call("POST", "/users/alice/messages", { data: 1 }, key("order 17"));
    expect([again.status, again.text]).toEqual([202, first.text]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    await call("POST", "/users/alice/messages", { data: "barrier" });
    expect((await client.take(2)).map(({ data }) => data)).toEqual([1, "barrier"]);
  });

  it("publishes once however many ask at the same time", async () => {
    const { port, call } = await start();
    const client = await TestClient.welcomed(port, "alice");
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => call("POST", "/broadcast", { data: 1 }, key("k"))),
    );
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get("idempotency-replayed") === null)).toHaveLength(1);
    await call("POST", "/broadcast", { data: "barrier" });
    expect((await client.take(2)).map(({ data }) => data)).toEqual([1, "barrier"]);
  });

  it("refuses another body with 422, and takes another path for something else", async () => {
    const { call } = await start();
    await call("POST", "/users/alice/messages", { data: 1 }, key("k"));
    const other = await call("POST", "/users/alice/messages", { data: 2 }, key("k"));
    expect([other.status, other.json.detail]).toEqual([422, expect.stringContaining("Idempotency-Key")]);
    expect((await call("POST", "/users/bob/messages", { data: 2 }, key("k"))).status).toBe(202);
    expect((await call("POST", "/broadcast", { data: 2 }, key("k"))).status).toBe(202);
  });

  it("knows a path by what it says, however it is spelt", async () => {
    const { call } = await start();
    const { text } = await call("POST", "/users/a%40%c3%a4/messages", { data: 1 }, key("k"));
    for (const path of ["/users/a@%C3%A4/messages", "/users/a%40%C3%A4/messages?x=1"]) {
      expect(await call("POST", path, { data: 1 }, key("k"))).toMatchObject({ status: 202, text });
    }
  });

  it("keeps the messages of a batch apart from single ones with any key", async () => {
    const { call } = await start();
    const messages = [{ to: { user: "alice" }, data: 1 }];
    expect((await call("POST", "/batch", { messages }, key("order 7"))).json.results).toMatchObject([
      { id: expect.any(String) },
    ]);
    expect((await call("POST", "/users/alice/messages", { data: 2 }, key("order 7 0"))).status).toBe(202);
  });

  it("refuses a key that is empty or too long", async () => {
    const { call } = await start();
    for (const value of ["", "x".repeat(129)]) {
      const answer = await call("POST", "/broadcast", { data: 1 }, key(value));
      expect([answer.status, answer.json.errors[0].path]).toEqual([422, "Idempotency-Key"]);
    }
    expect((await call("POST", "/broadcast", { data: 1 }, key("x".repeat(128)))).status).toBe(202);
  });

  it("covers a batch as a whole", async () => {
    const { port, call } = await start();
    const client = await TestClient.welcomed(port, "alice");
    const messages = [
      { to: "broadcast", data: 1 },
      { to: { user: "alice" }, data: 2 },
      { to: { user: "alice" }, data: 2 },
    ];
    const first = await call("POST", "/batch", { messages }, key("k"));
    const again = await call("POST", "/batch", { messages }, key("k"));
    expect([again.status, again.text]).toEqual([202, first.text]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    const other = await call("POST", "/batch", { messages: [{ to: { user: "carol" }, data: 1 }] }, key("k"));
    expect(other.status).toBe(422);
    await call("POST", "/broadcast", { data: "barrier" });
    expect((await client.take(4)).map(({ data }) => data)).toEqual([1, 2, 2, "barrier"]);
  });
});

describe("an Idempotency-Key on two replicas", () => {
  it("is known to both", async () => {
    const [one, two] = (await startReplicas(2)) as [Service, Service];
    const first = await one.call("POST", "/broadcast", { data: 1 }, key("k"));
    const again = await two.call("POST", "/broadcast", { data: 1 }, key("k"));
    expect(again.text).toBe(first.text);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
  });
});
