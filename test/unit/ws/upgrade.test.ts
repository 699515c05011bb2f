import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { FlagAuthenticator } from "../../../src/auth/authenticator.ts";
import { Entrance, type EntranceOptions } from "../../../src/entrance.ts";
import { type UpgradeOptions, Upgrades } from "../../../src/ws/upgrade.ts";
import { until } from "../../support/service.ts";
import { refusedUpgrade } from "../../support/test-client.ts";

it("refuses handshakes when too many wait already, until one of these is through", async () => {
  const waiting: PromiseWithResolvers<never>[] = [];
  const admit = () => {
    const one = Promise.withResolvers<never>();
    waiting.push(one);
    return one.promise;
  };
  const refused: string[] = [];
  const entrance = new Entrance({
    hub: { admit },
    authenticator: new FlagAuthenticator(),
    allowedOrigins: [{ kind: "any" }],
    allowAnonymous: false,
    maxHandshakes: 3,
  } as unknown as EntranceOptions);
  const upgrades = new Upgrades({
    entrance,
    log: pino({ level: "silent" }),
    maxPayloadBytes: 1024,
    compression: false,
    onRefused: ({ code }: { code: string }) => refused.push(code),
  } as unknown as UpgradeOptions);
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  server.on("upgrade", (request, socket, head) => void upgrades.handle(request, socket, head));
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connectAs = (user: string) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`, user).on("error", () => {});
    onTestFinished(() => ws.terminate());
  };
  for (let n = 0; n < 3; n++) connectAs(`user${n}`);
  await until(() => waiting.length === 3);

  const { status, headers, body } = await refusedUpgrade(port, "alice");
  expect([status, headers["retry-after"]]).toEqual([503, "2"]);
  expect(JSON.parse(body).detail).toBe("too many handshakes are under way");
  expect(refused).toEqual(["unavailable"]);

  waiting[0]?.reject(new Error("Redis is away"));
  await until(() => refused.length === 2);
  connectAs("bob");
  await until(() => waiting.length === 4);
});
