import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { receiveExternalPublish } from "../../../src/http/external-publish.ts";
import type { Delivery } from "../../../src/hub/delivery.ts";
import { createLog } from "../../../src/log.ts";
import { Metrics } from "../../../src/metrics.ts";
import { FakeBroker, settled } from "../../support/fake-broker.ts";
import { FakeConnection } from "../../support/fake-connection.ts";
import { createHub } from "../../support/hub.ts";

let metrics: Metrics;
beforeEach(() => {
  metrics = new Metrics();
});
afterEach(() => metrics.close());

/** Publishes around the API with alice connected; gives the frames she got and what was logged. */
async function receive(payload: string | Buffer): Promise<{ bodies: string[]; logs: string }> {
  const logs: string[] = [];
  const bodies: string[] = [];
  const log = createLog("debug", { write: (line: string) => void logs.push(line) });
  const hub = createHub(new FakeBroker(), { log, maxPayloadBytes: 50 });
  const alice = new FakeConnection("alice");
  alice.deliver = ({ messages }: Delivery) => bodies.push(...messages.map(({ body }) => String(body))) > 0;
  hub.register(alice, await hub.admit({ user: "alice" }));
  receiveExternalPublish(hub, Buffer.from(payload as string), log, metrics);
  return { bodies, logs: logs.join("") };
}

const malformed = async () => /^belfry_broker_malformed_total (\d+)$/m.exec((await metrics.exposition()).body)?.[1];

describe("receiveExternalPublish", () => {
  it.each([
    ['{"to":"broadcast","data":1}', /^"scope":"broadcast","data":1,"ts":\d+\}$/],
    ['{"to":{"user":"alice"},"event":"e","data": -0.0 }', /^"scope":"user","event":"e","data":-0\.0,"ts":\d+\}$/],
  ])("delivers %s, data as it is written", async (payload, body) => {
    const { bodies, logs } = await receive(payload);
    await settled();
    expect(bodies).toEqual([expect.stringMatching(body)]);
    expect([await malformed(), logs]).toEqual(["0", ""]);
  });

  it("delivers nothing to others", async () => {
    await settled();
    expect((await receive('{"to":{"user":"bob"},"data":1}')).bodies).toEqual([]);
    expect(await malformed()).toBe("0");
  });

  it.each([
    ["no JSON", "s3cret"],
    ["no UTF-8", Buffer.from([0x22, 0xff, 0x22])],
    ["no object", '"s3cret"'],
    ["no recipient", '{"data":"s3cret"}'],
    ["no data", '{"to":"broadcast"}'],
    ["an unknown member", '{"to":"broadcast","data":"s3cret","x":1}'],
    ["too much data", `{"to":"broadcast","data":"s3cret${"x".repeat(50)}"}`],
  ])("counts and logs a message with %s, without its data, and delivers nothing", async (_, payload) => {
    const { bodies, logs } = await receive(payload);
    await settled();
    expect([bodies, await malformed()]).toEqual([[], "1"]);
    expect(JSON.parse(logs)).toMatchObject({ level: "warn" });
    expect(logs).not.toContain("s3cret");
  });
});
