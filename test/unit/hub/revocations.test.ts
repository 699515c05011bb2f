import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Credentials } from "../../../src/credentials.ts";
import { BelfryError } from "../../../src/errors.ts";
import { Revocations } from "../../../src/hub/revocations.ts";
import { createLog } from "../../../src/log.ts";
import { FakeBroker, settled } from "../../support/fake-broker.ts";

const later = Date.now() + 60_000;
let broker: FakeBroker;
let revocations: Revocations;
let changes: number;

beforeEach(() => {
  broker = new FakeBroker();
  changes = 0;
  revocations = new Revocations(broker, createLog("silent"), () => changes++);
});

function credentials(user: string, id?: string, issuedAtMs?: number): Credentials {
  return { user, token: { id, issuedAtMs, expiresAtMs: undefined } };
}

describe("revocations", () => {
  it("cover the tokens for which everything that is given holds", () => {
    revocations.answer({ kind: "revoke", revocation: { user: "alice", beforeMs: 1000, expiresAtMs: later } });
    revocations.answer({ kind: "revoke", revocation: { user: "bob", jti: "b1", expiresAtMs: later } });
    revocations.answer({ kind: "revoke", revocation: { jti: "x", expiresAtMs: later } });
    const covered = (...args: Parameters<typeof credentials>) => revocations.cover(credentials(...args));
    expect([covered("alice", "a1", 999), covered("alice", undefined, undefined), covered("alice", "a1", 1000)]).toEqual(
      [true, true, false],
    );
    expect([covered("bob", "b1", 5), covered("bob", "b2", 5), covered("carol", "b1", 5)]).toEqual([true, false, false]);
    expect([covered("carol", "x"), covered("carol", "y")]).toEqual([true, false]);
    expect(revocations.cover({ user: "alice" })).toBe(false);
    expect(changes).toBe(3);
  });

  it("of the same tokens hold to the latest time that any of them names", () => {
    revocations.answer({ kind: "revoke", revocation: { user: "alice", beforeMs: 1000, expiresAtMs: later } });
    revocations.answer({ kind: "revoke", revocation: { user: "alice", beforeMs: 500, expiresAtMs: later } });
    expect(revocations.cover(credentials("alice", undefined, 999))).toBe(true);
    revocations.answer({ kind: "revoke", revocation: { beforeMs: 2000, expiresAtMs: later } });
    expect(revocations.cover(credentials("alice", undefined, 1999))).toBe(true);
  });

  it("are forgotten when their time is over", () => {
    vi.useFakeTimers({ now: 0, toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    revocations.answer({ kind: "revoke", revocation: { jti: "x", expiresAtMs: 1000 } });
    expect(revocations.cover(credentials("alice", "x"))).toBe(true);
    vi.setSystemTime(1000);
    expect(revocations.cover(credentials("alice", "x"))).toBe(false);
  });

  it("are read from the broker, with those that were told of meanwhile", async () => {
    broker.kept.add(JSON.stringify({ jti: "kept", expiresAtMs: later }));
    revocations.load();
    revocations.answer({ kind: "revoke", revocation: { jti: "told", expiresAtMs: later } });
    await revocations.loaded();
    for (const id of ["kept", "told"]) expect(revocations.cover(credentials("alice", id))).toBe(true);
  });

  it("are read again at once for those who come after the first try, once for all of them", async () => {
    const reading = vi.spyOn(broker, "revocations").mockRejectedValueOnce(new BelfryError("unavailable", "no Redis"));
    revocations.load();
    await settled();
    await Promise.all([revocations.loaded(), revocations.loaded()]);
    expect(reading).toHaveBeenCalledTimes(2);
  });

  it("that cannot be read keep everybody out, until they can", async () => {
    const reading = vi.spyOn(broker, "revocations").mockRejectedValue(new BelfryError("unavailable", "no Redis"));
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    revocations.load();
    await expect(revocations.loaded()).rejects.toMatchObject({ code: "unavailable" });
    reading.mockResolvedValue([]);
    vi.advanceTimersByTime(1000);
    await revocations.loaded();
    expect(reading).toHaveBeenCalledTimes(3);
    // What was known once goes on to hold when Redis is away.
    reading.mockRejectedValueOnce(new BelfryError("unavailable", "no Redis"));
    revocations.load();
    await revocations.loaded();
    revocations.close();
    await settled();
    vi.advanceTimersByTime(10_000);
    expect(reading).toHaveBeenCalledTimes(4);
  });
});
