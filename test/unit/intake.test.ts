import { expect, it, vi } from "vitest";
import { Intake, type IntakeOptions } from "../../src/intake.ts";
import { frameError } from "../../src/protocol/frames.ts";
import { settled } from "../support/fake-broker.ts";
import { FakeConnection } from "../support/fake-connection.ts";

function createIntake(maxClientFramesPerSecond = 50) {
  const connection = new FakeConnection("alice");
  const onFrame = vi.fn<IntakeOptions["onFrame"]>(async () => undefined);
  return { connection, onFrame, intake: new Intake(connection, { maxClientFramesPerSecond, onFrame }, 0) };
}

it("hands well-formed frames on, and sends what they are answered with", async () => {
  const { connection, onFrame, intake } = createIntake();
  const answer = frameError("unsupported", "no", 7);
  onFrame.mockResolvedValueOnce(answer);
  intake.take('{"type":"ack","id":"b-e1-1","ref":7}');
  await settled();
  expect(onFrame).toHaveBeenCalledExactlyOnceWith(connection, { type: "ack", id: "b-e1-1", ref: 7 });
  expect(connection.frames).toEqual([answer]);
});

it("answers malformed frames, and closes after ten in a row, unless a good one stands between", () => {
  const { connection, intake } = createIntake();
  for (let n = 0; n < 9; n++) intake.take("?");
  intake.take('{"type":"ack","id":"x"}');
  for (let n = 0; n < 9; n++) intake.take("?");
  expect(connection.frames).toHaveLength(18);
  expect(connection.closes).toEqual([]);
  intake.take("?");
  expect(connection.closes).toEqual([{ cause: "policy", reason: undefined }]);
});

it("counts frames, and says when there may be one more", () => {
  const { intake } = createIntake(2);
  expect([intake.count(0), intake.count(0), intake.count(0), intake.count(500)]).toEqual([0, 0, 500, 0]);
});
