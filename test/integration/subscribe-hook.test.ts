import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Service, startService } from "../support/service.ts";
import { TestClient } from "../support/test-client.ts";
import { nowSeconds, secret, sign } from "../support/tokens.ts";
import { webhookSecret } from "../support/webhook-receiver.ts";

/** A backend that decides by the topic: `yes.…`, `no.…`, or a status. */
async function startBackend() {
  const asked: unknown[] = [];
  const webhook = new Webhook(webhookSecret);
  const answer = (response: ServerResponse, topic: string) => {
    if (topic.startsWith("hang")) return;
    const status = { yes: 204, no: 403 }[topic.split(".")[0] ?? ""] ?? Number(topic);
    response.writeHead(status, status === 302 ? { location: "/" } : {}).end("x".repeat(5000));
  };
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    // Throws, and so answers nothing, when another implementation finds it wrongly signed.
    webhook.verify(text, request.headers as Record<string, string>);
    const { type, data } = JSON.parse(text) as { type: string; data: { topic: string } };
    asked.push({ type, ...data });
    answer(response, data.topic);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, server, url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/may-they`) };
}

async function subscribe(client: TestClient, topic: string) {
  client.send({ type: "subscribe", topic });
  return client.next();
}

const connect = async ({ port }: Service, claims: Record<string, unknown> = {}) =>
  TestClient.welcomed(port, ["belfry.v1", await sign({ sub: "alice", exp: nowSeconds() + 60, ...claims })]);

describe("the subscribe hook", () => {
  it("is asked where neither the token nor PUBLIC_TOPICS says yes", async () => {
    const { asked, url } = await startBackend();
    const jwt = { authMode: "jwt" as const, jwtSecret: secret, publicTopics: ["open"] };
    const service = await startService({ ...jwt, subscribeHookUrl: url, webhookSecret });
    const client = await connect(service, { topics: ["mine"] });
    for (const topic of ["open", "mine", "yes.7"]) {
      expect(await subscribe(client, topic)).toMatchObject({ type: "subscribed", topic });
    }
    expect(await subscribe(client, "no.7")).toMatchObject({ type: "error", code: "forbidden" });
    const question = { type: "belfry.subscribe", user: "alice", connection: client.welcome["connection"] };
    expect(asked).toEqual([
      { ...question, topic: "yes.7" },
      { ...question, topic: "no.7" },
    ]);
  });

  it("decides for named users with AUTH_MODE=none too, and is not asked about anonymous ones", async () => {
    const { asked, url } = await startBackend();
    const service = await startService({ subscribeHookUrl: url, webhookSecret, allowAnonymous: true });
    const alice = await TestClient.welcomed(service.port, "alice");
    expect(await subscribe(alice, "yes")).toMatchObject({ type: "subscribed" });
    expect(await subscribe(alice, "no")).toMatchObject({ code: "forbidden" });
    const nobody = await TestClient.welcomed(service.port);
    expect(await subscribe(nobody, "yes")).toMatchObject({ code: "forbidden" });
    expect(asked.length).toBe(2);
  });

  it.each(["302", "401", "404", "500"])("has not answered with %s, and may be asked again", async (topic) => {
    const { url } = await startBackend();
    const service = await startService({ subscribeHookUrl: url, webhookSecret });
    const client = await TestClient.welcomed(service.port, "alice");
    expect(await subscribe(client, topic)).toMatchObject({ type: "error", code: "failed" });
    expect(await subscribe(client, "yes")).toMatchObject({ type: "subscribed" });
  });

  it("that is away or hangs keeps no other topic waiting, and its URL stays out of the logs", async () => {
    const { url, server } = await startBackend();
    const service = await startService({ subscribeHookUrl: url, webhookSecret, publicTopics: ["open"] });
    const client = await TestClient.welcomed(service.port, "alice");
    client.send({ type: "subscribe", topic: "hang" });
    client.send({ type: "subscribe", topic: "open" });
    expect(await client.next()).toMatchObject({ type: "subscribed", topic: "open" });
    expect(await client.next()).toMatchObject({ type: "error", code: "failed" });
    server.closeAllConnections();
    server.close();
    expect(await subscribe(client, "yes")).toMatchObject({ type: "error", code: "failed" });
    expect(service.logs.join("")).toContain("the subscribe hook did not answer");
    expect(service.logs.join("")).not.toContain("may-they");
  });
});
