import type { IncomingMessage } from "node:http";
import { expect, it } from "vitest";
import type { TrustProxy } from "../../../src/config-values.ts";
import { remoteAddressOf } from "../../../src/http/remote-address.ts";

/** A request from 10.0.0.1 that says it came from 192.0.2.1 over 10.0.0.2. */
const request = {
  headers: { "x-forwarded-for": "203.0.113.9, 192.0.2.1, 10.0.0.2" },
  socket: { remoteAddress: "10.0.0.1" },
} as unknown as IncomingMessage;

it.each([
  [false, "10.0.0.1"],
  [1, "10.0.0.2"],
  [2, "192.0.2.1"],
  [["10.0.0.0/8"], "192.0.2.1"],
  [["10.0.0.1"], "10.0.0.2"],
  [["loopback"], "10.0.0.1"],
] satisfies [TrustProxy, string][])("trusting %j the client is %s", (trust, address) => {
  expect(remoteAddressOf(trust)(request)).toBe(address);
});

it.each(["<script>", "", "unknown", "192.0.2.1:80", "x".repeat(8000)])(
  "what is no address is not believed: %j",
  (text) => {
    const headers = { "x-forwarded-for": text };
    expect(remoteAddressOf(1)({ ...request, headers } as unknown as IncomingMessage)).toBe("10.0.0.1");
  },
);
