import { constants, inflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { chooseOffer, compress } from "../../../src/ws/compression.ts";

describe("chooseOffer", () => {
  it.each([
    ["permessage-deflate"],
    ["permessage-deflate; client_max_window_bits"],
    ["permessage-deflate; client_max_window_bits=9"],
    ['permessage-deflate; client_max_window_bits="10"'],
    ["permessage-deflate;server_no_context_takeover;client_no_context_takeover"],
    ["permessage-deflate; server_max_window_bits=15"],
  ])("takes %s", (header) => {
    expect(chooseOffer(header)).toBe(header);
  });

  it.each([
    [undefined],
    [""],
    ["permessage-bzip2"],
    ["x-webkit-deflate-frame"],
    // A frame that all share has the largest window.
    ["permessage-deflate; server_max_window_bits=10"],
    ["permessage-deflate; server_max_window_bits=16"],
    ["permessage-deflate; server_max_window_bits"],
    ["permessage-deflate; client_max_window_bits=7"],
    ["permessage-deflate; client_max_window_bits=08"],
    // RFC 7692 section 7: unknown names and names that come twice.
    ["permessage-deflate; level=9"],
    ["permessage-deflate; client_no_context_takeover; client_no_context_takeover"],
    ["permessage-deflate; client_no_context_takeover=1"],
    ["permessage-deflate; ="],
    // Quotes that do not match: `ws` cannot read such a header.
    ['permessage-deflate; client_max_window_bits="10'],
    ['permessage-deflate; client_max_window_bits=10"'],
    [";,;,"],
  ])("declines %s", (header) => {
    expect(chooseOffer(header)).toBeUndefined();
  });

  it("takes the first of several offers that can be served", () => {
    const header =
      "foo, permessage-deflate; server_max_window_bits=10 , permessage-deflate; client_max_window_bits, bar";
    expect(chooseOffer(header)).toBe("permessage-deflate; client_max_window_bits");
  });
});

describe("compress", () => {
  const inflate = (data: Buffer) =>
    inflateRawSync(Buffer.concat([data, Buffer.from("0000ffff", "hex")]), { finishFlush: constants.Z_SYNC_FLUSH });

  it.each([256, 1000, 65_536, 256 * 1024])("makes %i bytes of text smaller, and nothing of it is lost", (size) => {
    const payload = Buffer.from("all that is said, is said again. ".repeat(8000).slice(0, size));
    const compressed = compress(payload);
    expect(compressed?.length).toBeLessThan(size / 3);
    expect(inflate(compressed ?? payload)).toEqual(payload);
  });

  it.each([
    ["small", Buffer.alloc(255, "a")],
    ["large", Buffer.alloc(256 * 1024 + 1, "a")],
    ["dense", Buffer.from(Array.from({ length: 600 }, (_, i) => (i * i * 7919 + (i >> 3) * 31) & 0xff))],
  ])("leaves what is %s as it is", (_, payload) => {
    expect(compress(payload)).toBeUndefined();
  });
});
