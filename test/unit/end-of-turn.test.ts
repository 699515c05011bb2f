import { describe, expect, it } from "vitest";
import { endOfTurn } from "../../src/end-of-turn.ts";
import { Sweeper } from "../../src/hub/sweeper.ts";

describe("endOfTurn", () => {
  it("resolves for all who wait, in their order, before the next turn", async () => {
    const log: string[] = [];
    const wait = async (name: string) => {
      await endOfTurn();
      log.push(name);
    };
    const waits = [wait("a"), wait("b")];
    setImmediate(() => setImmediate(() => log.push("next turn")));
    log.push("this turn");
    await Promise.all(waits);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(log).toEqual(["this turn", "a", "b", "next turn"]);
  });

  it("begins anew for whoever comes when it has resolved", async () => {
    await endOfTurn();
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    await endOfTurn();
    expect(turned).toBe(true);
  });

  it("lets the others go before a slice of deliveries, also one that goes on from the turn before", async () => {
    const log: string[] = [];
    const answered = endOfTurnAfter(1);
    const answeredLater = endOfTurnAfter(2);
    let slices = 0;
    const swept = new Promise<void>((resolve) => {
      const sweep = () => {
        log.push("slice");
        // Longer than a slice may take.
        for (const startMs = performance.now(); performance.now() - startMs < 25; );
        if (++slices === 3) resolve();
        return slices < 3;
      };
      new Sweeper().add({ sweep, hasBefore: () => false });
    });
    answered.then(() => log.push("answer"));
    answeredLater.then(() => log.push("later answer"));
    await swept;
    expect(log).toEqual(["answer", "slice", "later answer", "slice", "slice"]);
  });
});

/** Waits for the end of a turn, this one or one of the next. */
async function endOfTurnAfter(turns: number): Promise<void> {
  for (let n = 0; n < turns; n++) await endOfTurn();
}
