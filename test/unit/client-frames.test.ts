import { describe, expect, it, vi } from "vitest";
import { handleClientFrame, type OnMessage } from "../../src/client-frames.ts";
import type { Client } from "../../src/hub/client.ts";
import type { Hub } from "../../src/hub/hub.ts";
import { createLog } from "../../src/log.ts";
import type { ClientFrame } from "../../src/protocol/frames.ts";

const client: Client = { connection: "c1", user: "alice", transport: "ws", remote: "192.0.2.1", disconnect: () => {} };
const hub = {} as Hub;

function handle(frame: ClientFrame, onMessage?: OnMessage, logs: string[] = []) {
  const log = createLog("debug", { write: (line: string) => void logs.push(line) });
  return handleClientFrame(frame, client, hub, log, onMessage);
}

describe("handleClientFrame", () => {
  it("takes acks in silence", async () => {
    expect(await handle({ type: "ack", id: "b-e1-1", ref: 1 })).toBeUndefined();
  });

  it("passes messages on to the service, without what belongs to the frame", async () => {
    const onMessage = vi.fn();
    expect(await handle({ type: "message", event: "typed", data: { n: 1 }, ref: 1 }, onMessage)).toBeUndefined();
    expect(await handle({ type: "message", data: null }, onMessage)).toBeUndefined();
    expect(onMessage.mock.calls).toEqual([
      [{ event: "typed", data: { n: 1 } }, client, hub],
      [{ data: null }, client, hub],
    ]);
  });

  it.each([
    { type: "message", data: 1, ref: 7 },
    { type: "reply", id: "r1", data: 1, ref: 7 },
    { type: "auth", token: "t", ref: 7 },
  ] satisfies ClientFrame[])("says that it has no use for $type where there is none", async (frame) => {
    const error = { type: "error", code: "unsupported", ref: 7, detail: expect.stringContaining(frame.type) };
    expect(await handle(frame)).toEqual(error);
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("s3cret");
      },
    ],
    ["rejects", async () => Promise.reject(new Error("s3cret"))],
    ["throws null", () => Promise.reject(null)],
  ])("answers failed when the service %s, and logs why", async (_, onMessage) => {
    const logs: string[] = [];
    const error = await handle({ type: "message", data: "private", ref: "r" }, onMessage, logs);
    expect(error).toMatchObject({ type: "error", code: "failed", ref: "r" });
    expect(JSON.stringify(error)).not.toContain("s3cret");
    expect(JSON.parse(logs.join(""))).toMatchObject({ level: "error", connection: "c1" });
    expect(logs.join("")).not.toContain("private");
  });
});
