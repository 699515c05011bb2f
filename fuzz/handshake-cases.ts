import type { Random } from "../chaos/random.ts";
import { mutate, randomBytes } from "./bytes.ts";
import { type Case, howSent } from "./case.ts";
import type { Configuration } from "./configuration.ts";
import { goodHandshake } from "./handshake.ts";
import { handshakeSpoilings, spoilingNames } from "./handshake-spoilings.ts";
import { setHeader, writeRequest } from "./request.ts";
import { spoil } from "./spoiling.ts";

/** Spoilings that can make a request that goes on beyond its bytes, or that is none. */
const openEnded = new Set(["headerText", "body", "twice"]);

/** What is made of the bytes of one or two handshakes, so that it may be no whole request. */
const distortions: Readonly<Record<string, (random: Random, configuration: Configuration) => Buffer>> = {
  mutated: (random, configuration) => mutate(random, writeRequest(goodHandshake(random, configuration))),
  cutOff: (random, configuration) => {
    const bytes = writeRequest(goodHandshake(random, configuration));
    return bytes.subarray(0, random.between(0, bytes.length - 1));
  },
  pipelined: (random, configuration) => {
    const some = [
      writeRequest(goodHandshake(random, configuration)),
      Buffer.from("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
      Buffer.from("POST /broadcast HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"),
      Buffer.from("\r\n\r\n"),
    ];
    return Buffer.concat(Array.from({ length: random.between(2, 5) }, () => random.pick(some)));
  },
  chunked: (random, configuration) => {
    const request = goodHandshake(random, configuration);
    setHeader(
      request,
      "Transfer-Encoding",
      random.pick(["chunked", "gzip, chunked", "chunked, identity", "xchunked", ""]),
    );
    if (random.chance(0.3)) setHeader(request, "Content-Length", "5");
    request.body = Buffer.from(
      random.pick([
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "-1\r\n",
        '5;x="\r\nhello\r\n0\r\n\r\n',
        "5\nhello\n0\n\n",
        "zz\r\n",
      ]),
    );
    return writeRequest(request);
  },
  lengthLies: (random, configuration) => {
    const request = goodHandshake(random, configuration);
    setHeader(request, "Content-Length", random.pick(["5", "-1", "99999999999999999999", "5, 5", "0x5", "", "1e3"]));
    request.body = randomBytes(random, random.between(0, 10));
    return writeRequest(request);
  },
  bareLines: (random, configuration) => {
    const text = writeRequest(goodHandshake(random, configuration)).toString("latin1");
    return Buffer.from(text.replaceAll("\r\n", random.pick(["\n", "\r", "\r\r\n", "\n\r"])), "latin1");
  },
  foreign: (random) => {
    const tlsHello = Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), randomBytes(random, 500)]);
    const http2 = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
    return random.pick([
      tlsHello,
      http2,
      randomBytes(random, random.between(0, 200)),
      Buffer.from("GET /\r\n"),
      Buffer.from("SSH-2.0-x\r\n"),
      Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
      Buffer.from("\0".repeat(3000)),
    ]);
  },
};

/** Some handshake, spoilt or distorted in one way, or spoilt in two. */
export function handshakeCase(random: Random, configuration: Configuration): Case {
  if (random.chance(0.3)) {
    const name = random.pick(Object.keys(distortions));
    const bytes = distortions[name]?.(random, configuration) ?? Buffer.alloc(0);
    return { ...howSent(random, bytes), kind: "handshake", name, isUpgradeAwaited: false, isAnswered: false };
  }
  const request = goodHandshake(random, configuration);
  const names = spoil(request, random, configuration, handshakeSpoilings, spoilingNames);
  const sent = howSent(random, writeRequest(request));
  const isAnswered = sent.ending === "listen" && !names.some((name) => openEnded.has(name));
  return { ...sent, kind: "handshake", name: names[0] ?? "", isUpgradeAwaited: false, isAnswered };
}
