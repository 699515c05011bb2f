import { describe, expect, it, vi } from "vitest";
import { FlagAuthenticator } from "../../src/auth/authenticator.ts";
import { type Arrival, Entrance, type EntranceOptions, type Occupant } from "../../src/entrance.ts";
import { BelfryError } from "../../src/errors.ts";
import type { Admission } from "../../src/hub/admission.ts";
import { settled } from "../support/fake-broker.ts";

const admission: Admission = { streams: [], elsewhere: [], topics: [] };
const alice: Arrival = { origin: undefined, presented: "alice", query: "" };

function createEntrance(options: Partial<EntranceOptions> = {}) {
  const hub = { admit: vi.fn(async () => admission), dismiss: vi.fn() };
  const entrance = new Entrance({
    hub,
    authenticator: new FlagAuthenticator(),
    allowedOrigins: [{ kind: "any" }],
    allowAnonymous: false,
    ...options,
  });
  return { entrance, hub };
}

const occupant = (): Occupant & { terminate: ReturnType<typeof vi.fn<() => void>> } => ({ terminate: vi.fn() });
const occupying = (entrance: Entrance) => () => {
  entrance.occupy(occupant());
  return true;
};

describe("the entrance", () => {
  it("lets in who says who it is, with what it resumes", async () => {
    const { entrance, hub } = createEntrance();
    const open = vi.fn(() => true);
    await entrance.enter({ ...alice, query: "since=b-abc-1" }, open);
    expect(open).toHaveBeenCalledExactlyOnceWith({ user: "alice" }, admission);
    expect(hub.admit).toHaveBeenCalledExactlyOnceWith({ user: "alice" }, { broadcast: { epoch: "abc", offset: 1 } });
    expect(hub.dismiss).not.toHaveBeenCalled();
  });

  it("lets in who says nothing only where that is allowed", async () => {
    const nobody = { ...alice, presented: undefined };
    await expect(createEntrance().entrance.enter(nobody, () => true)).rejects.toMatchObject({ code: "unauthorized" });
    const { entrance, hub } = createEntrance({ allowAnonymous: true });
    await entrance.enter(nobody, () => true);
    expect(hub.admit).toHaveBeenCalledWith({ user: null }, {});
  });

  it.each([
    ["a page of another origin", { origin: "https://evil.com" }, "forbidden"],
    ["what cannot be resumed from", { query: "since=nonsense" }, "malformed"],
    ["a user id that is too long", { presented: "a".repeat(129) }, "malformed"],
  ])("refuses %s, and asks the hub nothing", async (_, change, code) => {
    const { entrance, hub } = createEntrance({ allowedOrigins: [{ kind: "exact", origin: "https://app.com" }] });
    await expect(entrance.enter({ ...alice, ...change }, () => true)).rejects.toMatchObject({ code });
    expect(hub.admit).not.toHaveBeenCalled();
  });

  it.each([
    ["that is not opened", () => false, undefined],
    [
      "whose opening throws",
      () => {
        throw new BelfryError("malformed", "the client has gone");
      },
      "the client has gone",
    ],
  ])("gives up an admission %s", async (_, open, message) => {
    const { entrance, hub } = createEntrance();
    const entered = entrance.enter(alice, open);
    if (message === undefined) await entered;
    else await expect(entered).rejects.toThrow(message);
    expect(hub.dismiss).toHaveBeenCalledExactlyOnceWith(admission);
  });

  it("has room for so many, those on their way in included, until one leaves", async () => {
    const { entrance, hub } = createEntrance({ maxConnections: 2 });
    const first = occupant();
    entrance.occupy(first);
    const waiting = Promise.withResolvers<Admission>();
    hub.admit.mockReturnValueOnce(waiting.promise);
    const second = entrance.enter(alice, occupying(entrance));
    await settled();
    const full = { code: "unavailable", message: "this replica is full", retryAfterSeconds: 2 };
    await expect(entrance.enter(alice, () => true)).rejects.toMatchObject(full);
    waiting.resolve(admission);
    await second;
    await expect(entrance.enter(alice, () => true)).rejects.toMatchObject(full);
    entrance.leave(first);
    await entrance.enter(alice, occupying(entrance));
  });

  it("gives those who are turned away no place, and counts them as handshakes", async () => {
    const { entrance } = createEntrance({ maxConnections: 1, maxHandshakes: 1 });
    const refused = occupant();
    entrance.occupy(refused);
    entrance.turnAway(refused);
    await expect(entrance.enter(alice, () => true)).rejects.toThrow("too many handshakes are under way");
    entrance.leave(refused);
    await entrance.enter(alice, occupying(entrance));
  });

  it("lets nobody in while it drains, not even who was on the way", async () => {
    const { entrance, hub } = createEntrance();
    const waiting = Promise.withResolvers<Admission>();
    hub.admit.mockReturnValueOnce(waiting.promise);
    const open = vi.fn(() => true);
    const onTheWay = entrance.enter(alice, open);
    await settled();
    entrance.drain();
    waiting.resolve(admission);
    await expect(onTheWay).rejects.toThrow("this replica is shutting down");
    await expect(entrance.enter(alice, open)).rejects.toThrow("this replica is shutting down");
    expect(open).not.toHaveBeenCalled();
    expect(hub.dismiss).toHaveBeenCalledOnce();
  });

  it("cuts all that are left, and is closed when the last has left", async () => {
    const { entrance } = createEntrance();
    const [one, refused] = [occupant(), occupant()];
    entrance.occupy(one);
    entrance.occupy(refused);
    entrance.turnAway(refused);
    let isClosed = false;
    const closed = entrance.closed().then(() => {
      isClosed = true;
    });
    entrance.terminate();
    for (const { terminate } of [one, refused]) expect(terminate).toHaveBeenCalledOnce();
    entrance.leave(one);
    await settled();
    expect(isClosed).toBe(false);
    entrance.leave(refused);
    await closed;
  });
});
