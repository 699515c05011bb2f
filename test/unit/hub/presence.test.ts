import { expect, it } from "vitest";
import type { Answers } from "../../../src/broker/broker.ts";
import { Presence } from "../../../src/hub/presence.ts";

/** What becomes of a frame when this is heard of the replicas. */
function posted(answers: Answers) {
  const here = {
    connectionsTo: () => [],
    statsHere: () => ({ connections: 0, users: 0, topics: 0 }),
    takeFrame: () => undefined,
    isElsewhere: () => {},
  };
  const presence = new Presence({ ask: async () => answers }, "one", here);
  return presence.postFrame("alice", { connection: "c1", secret: "s", frame: "{}" });
}

it("says of a frame what the replica says that holds its connection, whatever the others do", async () => {
  expect(await posted({ answers: [null, 0], replicas: 2 })).toBe(0);
  expect(await posted({ answers: [250], replicas: 3 })).toBe(250);
});

it("says that there is no connection for a frame when all replicas say so", async () => {
  expect(await posted({ answers: [], replicas: 0 })).toBeUndefined();
  expect(await posted({ answers: [null, null], replicas: 2 })).toBeUndefined();
});

it("does not take a connection for gone because a replica that may hold it does not answer", async () => {
  await expect(posted({ answers: [null], replicas: 2 })).rejects.toMatchObject({ code: "unavailable" });
});
