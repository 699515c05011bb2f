import type { IncomingMessage } from "node:http";
import { expect, it, vi } from "vitest";
import type { Entrance } from "../../../src/entrance.ts";
import { BelfryError } from "../../../src/errors.ts";
import { newSecret } from "../../../src/sse/secret.ts";
import { Sse, type SseOptions } from "../../../src/sse/sse.ts";

function createSse() {
  const postFrame = vi.fn<SseOptions["hub"]["postFrame"]>();
  const entrance = { checkOrigin: () => {} } as unknown as Entrance;
  const context = { maxClientFramesPerSecond: 50 } as SseOptions["context"];
  const sse = new Sse({ hub: { postFrame }, entrance, context } as unknown as SseOptions);
  const post = (secret: string) =>
    sse.post("c1", { headers: { authorization: `Bearer ${secret}` } } as IncomingMessage, "{}");
  return { postFrame, post };
}

it("asks the replicas of the secret's user, and gives on what the holder makes of a frame", async () => {
  const { postFrame, post } = createSse();
  const secret = newSecret("alice");
  postFrame.mockResolvedValueOnce(0);
  await post(secret);
  expect(postFrame).toHaveBeenCalledExactlyOnceWith("alice", { connection: "c1", secret, frame: "{}" });
  postFrame.mockResolvedValueOnce(1500);
  await expect(post(secret)).rejects.toMatchObject({ code: "too_many", retryAfterSeconds: 2 });
  postFrame.mockResolvedValueOnce(undefined);
  await expect(post(secret)).rejects.toMatchObject({ code: "not_found" });
  postFrame.mockRejectedValueOnce(new BelfryError("unavailable", "Redis is away"));
  await expect(post(secret)).rejects.toMatchObject({ code: "unavailable" });
});

it("asks nobody about what is no secret", async () => {
  const { postFrame, post } = createSse();
  await expect(post("guess")).rejects.toMatchObject({ code: "not_found" });
  expect(postFrame).not.toHaveBeenCalled();
});

it("asks about 1,000 frames at a time, and refuses more until one is through", async () => {
  const { postFrame, post } = createSse();
  const first = Promise.withResolvers<number>();
  postFrame.mockReturnValueOnce(first.promise).mockReturnValue(new Promise(() => {}));
  const secret = newSecret(null);
  const posts = Array.from({ length: 1000 }, () => post(secret));
  await expect(post(secret)).rejects.toMatchObject({ code: "unavailable", retryAfterSeconds: 1 });
  first.resolve(0);
  await posts[0];
  void post(secret);
  expect(postFrame).toHaveBeenCalledTimes(1001);
});
