import { describe, expect, it, vi } from "vitest";
import type { Authenticator } from "../../src/auth/authenticator.ts";
import { TopicAccess } from "../../src/auth/topic-access.ts";
import { handleClientFrame, type OnMessage } from "../../src/client-frames.ts";
import { BelfryError } from "../../src/errors.ts";
import type { Client } from "../../src/hub/client.ts";
import type { Hub } from "../../src/hub/hub.ts";
import { createLog } from "../../src/log.ts";
import { type ClientFrame, frameError } from "../../src/protocol/frames.ts";
import { FakeConnection } from "../support/fake-connection.ts";

const client: Client = { connection: "c1", user: "alice", transport: "ws", remote: "192.0.2.1", disconnect: () => {} };
const connection = new FakeConnection("alice");
const topicAccess = new TopicAccess({ authMode: "none" });
const renew = vi.fn<Hub["renew"]>();
const ack = vi.fn<Hub["receipts"]["ack"]>();
const reply = vi.fn<Hub["requests"]["reply"]>();
const hub = { clientOf: () => client, renew, requests: { reply }, receipts: { ack } } as unknown as Hub;

function handle(frame: ClientFrame, onMessage?: OnMessage, logs: string[] = [], authenticator?: Authenticator) {
  const log = createLog("debug", { write: (line: string) => void logs.push(line) });
  return handleClientFrame(frame, connection, { hub, log, onMessage, authenticator, topicAccess });
}

describe("handleClientFrame", () => {
  it("hands acks to the receipts, and gives their answer back", async () => {
    const frame: ClientFrame = { type: "ack", id: "b-e1-1", ref: 1 };
    expect(await handle(frame)).toBeUndefined();
    ack.mockReturnValueOnce(frameError("not_found", "none", 1));
    expect(await handle(frame)).toEqual(frameError("not_found", "none", 1));
    expect(ack).toHaveBeenCalledWith(connection, frame);
  });

  it("hands replies to the requests, and gives their answer back", async () => {
    const frame: ClientFrame = { type: "reply", id: "r1", json: "1.0", ref: 7 };
    expect(await handle(frame)).toBeUndefined();
    reply.mockReturnValueOnce(frameError("not_found", "over", 7));
    expect(await handle(frame)).toEqual(frameError("not_found", "over", 7));
    expect(reply).toHaveBeenCalledWith(connection, frame);
  });

  it("passes messages on to the service, without what belongs to the frame", async () => {
    const onMessage = vi.fn();
    expect(
      await handle({ type: "message", event: "typed", data: { n: 1 }, ref: 1, text: "" }, onMessage),
    ).toBeUndefined();
    expect(await handle({ type: "message", data: null, text: "" }, onMessage)).toBeUndefined();
    expect(onMessage.mock.calls).toEqual([
      [{ event: "typed", data: { n: 1 } }, client, hub],
      [{ data: null }, client, hub],
    ]);
  });

  it.each([
    { type: "message", data: 1, ref: 7, text: "" },
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
    const error = await handle({ type: "message", data: "private", ref: "r", text: "" }, onMessage, logs);
    expect(error).toMatchObject({ type: "error", code: "failed", ref: "r" });
    expect(JSON.stringify(error)).not.toContain("s3cret");
    expect(JSON.parse(logs.join(""))).toMatchObject({ level: "error", connection: connection.id });
    expect(logs.join("")).not.toContain("private");
  });

  describe("with tokens", () => {
    const frame: ClientFrame = { type: "auth", token: "t0k3n", ref: 7 };
    const alice = { user: "alice", token: { id: "1", issuedAtMs: undefined, expiresAtMs: 5 } };
    const thatThrows = (error: unknown): Authenticator => ({ authenticate: () => Promise.reject(error) });

    it("renews the connection's credentials, without an answer", async () => {
      const authenticate = vi.fn(async () => alice);
      expect(await handle(frame, undefined, [], { authenticate })).toBeUndefined();
      expect(authenticate).toHaveBeenCalledWith("t0k3n");
      expect(renew).toHaveBeenCalledWith(connection, alice);
    });

    it("takes the token that was sent last, whichever is checked first", async () => {
      const older = Promise.withResolvers<typeof alice>();
      const newest = { ...alice, token: { ...alice.token, id: "2" } };
      renew.mockClear();
      const waiting = handle(frame, undefined, [], { authenticate: () => older.promise });
      expect(await handle(frame, undefined, [], { authenticate: async () => newest })).toBeUndefined();
      older.resolve(alice);
      expect(await waiting).toBeUndefined();
      expect(renew.mock.calls).toEqual([[connection, newest]]);
    });

    it("takes an older token when the one that was sent last is not valid", async () => {
      const older = Promise.withResolvers<typeof alice>();
      renew.mockClear();
      const waiting = handle(frame, undefined, [], { authenticate: () => older.promise });
      await handle(frame, undefined, [], thatThrows(new BelfryError("unauthorized", "expired")));
      older.resolve(alice);
      await waiting;
      expect(renew.mock.calls).toEqual([[connection, alice]]);
    });

    it.each([
      ["unauthorized", new BelfryError("unauthorized", "expired"), "unauthorized"],
      ["forbidden", new BelfryError("forbidden", "of another user"), "forbidden"],
      ["unavailable", new BelfryError("unavailable", "no keys"), "failed"],
      ["a bug", new Error("t0k3n"), "failed"],
    ])("says so when the token is not taken: %s", async (_, thrown, code) => {
      const logs: string[] = [];
      const error = await handle(frame, undefined, logs, thatThrows(thrown));
      expect(error).toMatchObject({ type: "error", code, ref: 7 });
      expect(JSON.stringify(error)).not.toContain("t0k3n");
    });
  });
});
