import { describe, expect, it } from "vitest";
import { Checker } from "../../../chaos/checker.ts";

const stream = "topic:news";

/** What a `subscribed` frame says; by default the client has asked for it and begins live at the beginning. */
interface Told {
  readonly since?: string;
  readonly position?: string;
  readonly recovered?: boolean;
  readonly isByService?: boolean;
}

const subscribe = (
  checker: Checker,
  { since, position = "t-e-0", recovered, isByService = false }: Told = {},
  client = "c",
) => checker.subscribed(client, stream, { since, position, recovered, isByService });
const publish = (checker: Checker, ...offsets: number[]) => {
  for (const offset of offsets) checker.published(stream, `t-e-${offset}`, `p0-${offset}`, checker.flushes);
};
const deliver = (checker: Checker, ...offsets: number[]) => {
  for (const offset of offsets) checker.delivered("c", stream, `t-e-${offset}`, `p0-${offset}`);
};

/** A checker with one client, subscribed at offset 0 of epoch `e`, as it shall be in the end. */
function watching(): Checker {
  const checker = new Checker();
  checker.expect("c", [stream]);
  subscribe(checker);
  return checker;
}

/** Kind and offsets of everything found. */
function foundBy(checker: Checker) {
  checker.finish();
  return checker.violations.map(({ kind, offsets }) => [kind, ...(offsets ?? [])]);
}

describe("Checker of topics", () => {
  it("finds nothing where everything came once and in order, whatever ended the subscription in between", () => {
    const checker = watching();
    publish(checker, 1, 2, 3, 4, 5);
    deliver(checker, 1, 2);
    checker.unsubscribed("c", stream);
    subscribe(checker, { since: "t-e-2", position: "t-e-2", recovered: true });
    deliver(checker, 3);
    checker.disconnected("c");
    subscribe(checker, { since: "t-e-3", position: "t-e-3", recovered: true });
    deliver(checker, 4, 5);
    expect(checker.behind).toBe(0);
    expect(foundBy(checker)).toEqual([]);
    expect(checker.warnings).toEqual([]);
  });

  it("catches a gap while the client is subscribed, and at the end", () => {
    const checker = watching();
    publish(checker, 1, 2, 3, 4);
    deliver(checker, 1, 3);
    expect(checker.behind).toBe(1);
    expect(foundBy(checker)).toEqual([
      ["loss", 2, 2],
      ["loss", 4, 4],
    ]);
  });

  it("catches a gap that a resumption leaves and hides", () => {
    const checker = watching();
    publish(checker, 1, 2, 3);
    deliver(checker, 1);
    checker.disconnected("c");
    subscribe(checker, { since: "t-e-1", position: "t-e-1", recovered: true });
    deliver(checker, 3);
    expect(foundBy(checker)).toEqual([["loss", 2, 2]]);
  });

  it("catches a resumption that is answered as if nothing had been asked", () => {
    for (const isByService of [false, true]) {
      const checker = watching();
      publish(checker, 1, 2, 3);
      deliver(checker, 1);
      checker.disconnected("c");
      subscribe(checker, { since: "t-e-1", position: "t-e-3", isByService });
      expect(foundBy(checker)).toEqual([["protocol"], ["loss", 2, 3]]);
    }
  });

  it("catches a resumption that is put elsewhere and says that nothing is missing", () => {
    const checker = watching();
    deliver(checker, 1, 2);
    checker.unsubscribed("c", stream);
    subscribe(checker, { since: "t-e-2", position: "t-e-1", recovered: true });
    expect(foundBy(checker)).toEqual([["recovered"]]);
  });

  it("catches a message that came twice, on one connection or after a resumption", () => {
    const checker = watching();
    deliver(checker, 1, 2, 2);
    checker.unsubscribed("c", stream);
    subscribe(checker, { since: "t-e-2", position: "t-e-2", recovered: true });
    deliver(checker, 1);
    expect(foundBy(checker)).toEqual([
      ["double", 2, 2],
      ["double", 1, 1],
    ]);
  });

  it("allows what the client has asked for once more", () => {
    const checker = watching();
    deliver(checker, 1, 2, 3);
    checker.unsubscribed("c", stream);
    subscribe(checker, { since: "t-e-1", position: "t-e-1", recovered: true });
    deliver(checker, 2, 3);
    expect(foundBy(checker)).toEqual([]);
  });

  it("catches disorder", () => {
    const checker = watching();
    deliver(checker, 1, 3, 2);
    expect(foundBy(checker)).toEqual([["disorder", 2, 2]]);
  });

  it("catches a message of a topic that the client is not, not yet, or not any more subscribed to", () => {
    const stranger = new Checker();
    deliver(stranger, 1);
    expect(foundBy(stranger)).toEqual([["foreign"]]);
    const left = watching();
    left.unsubscribed("c", stream);
    deliver(left, 1);
    expect(left.violations.map(({ kind }) => kind)).toEqual(["foreign"]);
    const back = watching();
    back.disconnected("c");
    deliver(back, 1);
    expect(back.violations.map(({ kind }) => kind)).toEqual(["foreign"]);
  });

  it("lets a topic be, once the client has left it", () => {
    const checker = new Checker();
    subscribe(checker);
    publish(checker, 1, 2);
    deliver(checker, 1);
    checker.unsubscribed("c", stream);
    expect(checker.behind).toBe(0);
    expect(foundBy(checker)).toEqual([]);
  });

  it("catches a client that is not in a topic in the end, or is in one and should not be", () => {
    const missing = watching();
    missing.unsubscribed("c", stream);
    expect(missing.behind).toBe(1);
    expect(foundBy(missing)).toEqual([["subscription"]]);
    const lingering = new Checker();
    subscribe(lingering);
    expect(lingering.behind).toBe(1);
    expect(foundBy(lingering)).toEqual([["subscription"]]);
  });

  it("catches a client that is told again where it is, and is elsewhere", () => {
    const checker = watching();
    deliver(checker, 1, 2);
    subscribe(checker, { since: "t-e-1", position: "t-e-2" });
    expect(checker.violations).toEqual([]);
    subscribe(checker, { position: "t-e-3" });
    subscribe(checker, { since: "t-e-2", position: "t-e-2", recovered: true });
    expect(foundBy(checker)).toEqual([["subscription", 3, 3], ["subscription"]]);
  });

  it("lets a flush take what was stored before, when the client is told or has only named it in its URL", () => {
    for (const told of [{ recovered: false }, { isByService: true }]) {
      const checker = watching();
      publish(checker, 1, 2);
      deliver(checker, 1);
      checker.disconnected("c");
      checker.flushed();
      subscribe(checker, { since: "t-e-1", position: "t-f-0", ...told });
      expect(foundBy(checker)).toEqual([]);
    }
  });

  it("knows who is subscribed", () => {
    const checker = watching();
    subscribe(checker, {}, "d");
    expect(checker.subscribersOf(stream)).toEqual(["c", "d"]);
    checker.disconnected("c");
    expect(checker.subscribersOf(stream)).toEqual(["d"]);
  });
});
