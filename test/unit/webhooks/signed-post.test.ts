import { expect, it } from "vitest";
import { SignedPost } from "../../../src/webhooks/signed-post.ts";
import { WebhookReceiver, webhookSecret } from "../../support/webhook-receiver.ts";

const body = '{"data":{"events":[]}}';

it("brings the answer back", async () => {
  const receiver = await WebhookReceiver.start((response) => {
    response.writeHead(403, { "retry-after": "7" }).end('{"allowed":false}');
  });
  const post = new SignedPost(receiver.url, webhookSecret);
  const answer = await post.send("msg_1", body, { timeoutMs: 5000 });
  expect(answer).toEqual({ status: 403, retryAfterMs: 7000, text: '{"allowed":false}' });
  expect(receiver.batches[0]?.id).toBe("msg_1");
});

it("keeps no answer that is too large", async () => {
  const receiver = await WebhookReceiver.start((response) => response.writeHead(200).end("x".repeat(1000)));
  const post = new SignedPost(receiver.url, webhookSecret);
  expect(await post.send("msg_1", body, { timeoutMs: 5000, maxAnswerBytes: 999 })).toMatchObject({ text: undefined });
  expect((await post.send("msg_1", body, { timeoutMs: 5000, maxAnswerBytes: 1000 })).text).toHaveLength(1000);
});

it("says in a word why there is no answer", async () => {
  const receiver = await WebhookReceiver.start(() => {});
  const post = new SignedPost(receiver.url, webhookSecret);
  await expect(post.send("msg_1", body, { timeoutMs: 20 })).rejects.toMatchObject({
    name: "PostError",
    message: "timeout",
  });
  const signal = AbortSignal.abort();
  await expect(post.send("msg_1", body, { timeoutMs: 5000, signal })).rejects.toThrow("connection failed");
});

it("takes no secret that is none", () => {
  expect(() => new SignedPost(new URL("http://127.0.0.1"), "whsec_c2hvcnQ=")).toThrow("is not whsec_");
});
