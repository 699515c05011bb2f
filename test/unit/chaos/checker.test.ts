import { describe, expect, it } from "vitest";
import { Checker } from "../../../chaos/checker.ts";

const stream = "broadcast";

/** A checker with one client, welcomed at offset 0 of epoch `e`. */
function watching(): Checker {
  const checker = new Checker();
  checker.expect("c", [stream]);
  checker.welcomed("c", stream, { since: undefined, position: "b-e-0", recovered: undefined });
  return checker;
}

const publish = (checker: Checker, ...offsets: number[]) => {
  for (const offset of offsets) checker.published(stream, `b-e-${offset}`, `p0-${offset}`, checker.flushes);
};
const deliver = (checker: Checker, ...offsets: number[]) => {
  for (const offset of offsets) checker.delivered("c", stream, `b-e-${offset}`, `p0-${offset}`);
};
const resume = (checker: Checker, since: string, position: string, recovered: boolean) =>
  checker.welcomed("c", stream, { since, position, recovered });

/** Kind and offsets of everything found. */
function foundBy(checker: Checker) {
  checker.finish();
  return checker.violations.map(({ kind, offsets }) => [kind, ...(offsets ?? [])]);
}

describe("Checker", () => {
  it("finds nothing where everything came once and in order, across a resumption", () => {
    const checker = watching();
    publish(checker, 1, 2, 3, 4);
    deliver(checker, 1, 2);
    resume(checker, "b-e-2", "b-e-2", true);
    deliver(checker, 3, 4);
    expect(checker.behind).toBe(0);
    expect(foundBy(checker)).toEqual([]);
    expect(checker.warnings).toEqual([]);
  });

  it("catches a message that never came, within the stream and at its end", () => {
    const checker = watching();
    publish(checker, 1, 2, 3, 4, 5, 6);
    deliver(checker, 1, 4);
    expect(checker.behind).toBe(1);
    expect(foundBy(checker)).toEqual([
      ["loss", 2, 3],
      ["loss", 5, 6],
    ]);
  });

  it("catches a client that was never welcomed", () => {
    const checker = new Checker();
    checker.expect("c", [stream]);
    publish(checker, 1);
    expect(foundBy(checker)).toEqual([["loss"]]);
  });

  it("catches a message that came twice, on one connection or after a resumption", () => {
    const checker = watching();
    deliver(checker, 1, 2, 2);
    resume(checker, "b-e-2", "b-e-2", true);
    deliver(checker, 1);
    expect(foundBy(checker)).toEqual([
      ["double", 2, 2],
      ["double", 1, 1],
    ]);
  });

  it("catches disorder", () => {
    const checker = watching();
    deliver(checker, 1, 3, 2, 4);
    expect(foundBy(checker)).toEqual([["disorder", 2, 2]]);
  });

  it("catches a resumption that skips messages and says that nothing is missing", () => {
    const checker = watching();
    publish(checker, 1, 2, 3);
    deliver(checker, 1);
    resume(checker, "b-e-1", "b-e-2", true);
    deliver(checker, 3);
    expect(foundBy(checker)).toEqual([["recovered"], ["loss", 2, 2]]);
  });

  it("catches a resumption that keeps the position, says that nothing is missing, and skips messages", () => {
    const checker = watching();
    deliver(checker, 1);
    resume(checker, "b-e-1", "b-e-1", true);
    deliver(checker, 3);
    checker.finish();
    expect(checker.violations).toMatchObject([{ kind: "loss", client: "c", offsets: [2, 2] }]);
    expect(checker.violations[0]?.detail).toContain("recovered was true");
  });

  it("catches a resumption in another epoch that says that nothing is missing", () => {
    const checker = watching();
    deliver(checker, 1);
    checker.flushed();
    resume(checker, "b-e-1", "b-f-0", true);
    expect(foundBy(checker)).toEqual([["recovered"]]);
  });

  it("lets a flush take what was stored before, when the client is told", () => {
    const checker = watching();
    publish(checker, 1, 2);
    deliver(checker, 1);
    checker.flushed();
    resume(checker, "b-e-1", "b-f-0", false);
    checker.published(stream, "b-f-1", "p0-2", 1);
    checker.delivered("c", stream, "b-f-1", "p0-2");
    expect(foundBy(checker)).toEqual([]);
    expect(checker.warnings).toEqual([]);
  });

  it("catches what a new epoch does not give from its beginning", () => {
    const checker = watching();
    checker.flushed();
    resume(checker, "b-e-0", "b-f-2", false);
    checker.delivered("c", stream, "b-f-3", "p0-3");
    expect(foundBy(checker)).toEqual([["loss", 1, 2]]);
  });

  it("catches an epoch that changes without a flush, or without a welcome", () => {
    const checker = watching();
    checker.delivered("c", stream, "b-f-1", "p0-1");
    expect(foundBy(checker).map(([kind]) => kind)).toEqual(["epoch", "epoch"]);
  });

  it("catches a message that was accepted into an epoch that was gone already", () => {
    const checker = watching();
    checker.flushed();
    resume(checker, "b-e-0", "b-f-0", false);
    publish(checker, 1);
    checker.stored(stream, "f", []);
    expect(foundBy(checker)).toEqual([["epoch", 1, 1]]);
  });

  it("warns of false without cause", () => {
    const checker = watching();
    deliver(checker, 1);
    resume(checker, "b-e-1", "b-e-1", false);
    expect(foundBy(checker)).toEqual([]);
    expect(checker.warnings).toHaveLength(1);
  });

  it("catches a key that was published twice, and an offset that stands for two messages, once each", () => {
    const checker = watching();
    publish(checker, 1);
    for (let i = 0; i < 2; i++) checker.published(stream, "b-e-2", "p0-1", 0);
    for (let i = 0; i < 2; i++) checker.published(stream, "b-e-1", "p1-1", 0);
    deliver(checker, 1, 2);
    expect(foundBy(checker).map(([kind]) => kind)).toEqual(["idempotency", "content", "content"]);
  });

  it("catches a history with a hole, in disorder, or without what was accepted", () => {
    const checker = watching();
    publish(checker, 1, 2, 3);
    deliver(checker, 1, 2, 3);
    checker.stored(stream, "e", [
      { id: "b-e-1", key: "p0-1" },
      { id: "b-e-3", key: "p0-3" },
    ]);
    expect(foundBy(checker)).toEqual([
      ["history", 2, 3],
      ["history", 2, 2],
    ]);
    const other = watching();
    other.stored(stream, "e", [
      { id: "b-e-1", key: "p0-2" },
      { id: "b-e-2", key: "p0-1" },
    ]);
    expect(other.violations).toMatchObject([{ kind: "history", offsets: [2, 2] }]);
  });
});
