import { deflateRawSync, constants as zlib } from "node:zlib";
import type { Random } from "../chaos/random.ts";
import { mutate, randomBytes } from "./bytes.ts";
import { type Case, howSent } from "./case.ts";
import { type ClientFrameParts, opcodes, writeFrame } from "./client-frame.ts";
import type { Configuration } from "./configuration.ts";
import { goodHandshake } from "./handshake.ts";
import { setHeader, writeRequest } from "./request.ts";
import { someFlag } from "./token-cases.ts";
import { jsonTexts, texts } from "./values.ts";

/** One way to make what is sent after the handshake. */
type Generator = (random: Random, configuration: Configuration) => Buffer[];

const invalidUtf8 = ["ff", "c0af", "eda080", "f8888080", "f4908080", "80", "e282", "22c328"].map((hex) =>
  Buffer.from(hex, "hex"),
);

const closeCodes = [
  0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 2999, 3000, 4000,
  4401, 4999, 5000, 65535,
];

const bombs = [100_000, 2_000_000].map((length) => compressed(Buffer.alloc(length, "0")));

const generators: Readonly<Record<string, Generator>> = {
  json: (random, configuration) => times(random, 1, 5, () => textFrame(random, frameJson(random, configuration))),
  jsonMutated: (random, configuration) =>
    times(random, 1, 5, () =>
      frame(random, opcodes.text, mutate(random, Buffer.from(frameJson(random, configuration)))),
    ),
  auth: (random, configuration) =>
    times(random, 1, 3, () =>
      textFrame(
        random,
        JSON.stringify({ type: "auth", token: someFlag(random, configuration), ref: random.between(0, 9) }),
      ),
    ),
  malformedRow: (random) => times(random, 8, 14, () => textFrame(random, random.pick(jsonTexts))),
  opcodes: (random) =>
    times(random, 1, 4, () =>
      frame(random, random.between(0, 15), randomBytes(random, random.between(0, 130)), {
        rsv: random.between(0, 7),
        fin: random.chance(0.7),
      }),
    ),
  unmasked: (random) => [writeFrame({ opcode: random.pick([1, 2, 8, 9]), payload: Buffer.from("{}") })],
  lengths: (random) => {
    const payload = Buffer.from(random.pick(jsonTexts).slice(0, 300));
    const claimed = random.pick([
      0n,
      1n,
      125n,
      126n,
      65_535n,
      65_536n,
      32_769n,
      2n ** 31n,
      2n ** 32n,
      2n ** 53n,
      2n ** 63n,
      2n ** 64n - 1n,
      BigInt(payload.length),
    ]);
    return [
      frame(random, random.pick([1, 2, 9]), payload, { claimedLength: claimed, lengthBytes: random.pick([0, 2, 8]) }),
      textFrame(random, "{}"),
    ];
  },
  fragments: (random) =>
    times(random, 2, 8, () =>
      frame(random, random.pick([0, 0, 0, 1, 2, 9, 8]), randomBytes(random, random.between(0, 20)), {
        fin: random.chance(0.3),
      }),
    ),
  manyFragments: (random) => {
    const count = random.pick([50, 200, 600, 1023, 1025]);
    return times(random, count, count, (index) =>
      frame(random, index === 0 ? 1 : 0, Buffer.alloc(random.between(0, 100), "a"), { fin: index === count - 1 }),
    );
  },
  splitText: (random, configuration) => {
    const json = Buffer.from(frameJson(random, configuration));
    const at = random.between(0, json.length);
    const pieces = [json.subarray(0, at), json.subarray(at)];
    return pieces.flatMap((piece, index) =>
      [
        frame(random, index === 0 ? 1 : 0, piece, { fin: index === 1 }),
        frame(random, opcodes.ping, randomBytes(random, 3)),
      ].slice(0, index === 0 ? 2 : 1),
    );
  },
  control: (random) =>
    times(random, 1, 3, () =>
      frame(random, random.pick([8, 9, 10]), randomBytes(random, random.pick([0, 1, 125, 126, 300])), {
        fin: random.chance(0.7),
      }),
    ),
  close: (random) => {
    const reason = random.pick([Buffer.alloc(0), Buffer.from(random.pick(texts).slice(0, 200)), ...invalidUtf8]);
    const code = Buffer.alloc(2);
    code.writeUInt16BE(random.pick(closeCodes));
    const payload = random.pick([
      Buffer.concat([code, reason]),
      Buffer.concat([code, reason]),
      code,
      code.subarray(1),
      Buffer.alloc(0),
    ]);
    return [
      frame(random, opcodes.close, payload),
      textFrame(random, "{}"),
      frame(random, opcodes.ping, payload.subarray(0, 100)),
    ];
  },
  utf8: (random) => {
    const bytes = Buffer.concat([Buffer.from('{"type":"'), random.pick(invalidUtf8), Buffer.from('"}')]);
    return random.chance(0.5)
      ? [frame(random, 1, bytes)]
      : [frame(random, 1, bytes.subarray(0, 10), { fin: false }), frame(random, 0, bytes.subarray(10))];
  },
  binary: (random) => [frame(random, opcodes.binary, randomBytes(random, random.between(0, 200)))],
  compressed: (random, configuration) => {
    const bytes = compressed(Buffer.from(frameJson(random, configuration)));
    const payload = random.pick([
      bytes,
      bytes,
      mutate(random, bytes),
      bytes.subarray(0, -3),
      randomBytes(random, 60),
      Buffer.alloc(0),
      Buffer.from([0, 0, 0, 0xff, 0xff]),
    ]);
    const at = random.between(0, payload.length);
    if (random.chance(0.6)) return [frame(random, 1, payload, { rsv: 4 }), textFrame(random, "{}")];
    return [
      frame(random, 1, payload.subarray(0, at), { rsv: 4, fin: false }),
      frame(random, 0, payload.subarray(at), { rsv: random.pick([0, 4]) }),
    ];
  },
  bomb: (random) => {
    const bomb = random.pick(bombs);
    if (random.chance(0.5)) return [frame(random, 1, bomb, { rsv: 4 })];
    return times(random, 2, 6, (index) =>
      frame(random, index === 0 ? 1 : 0, bomb, { rsv: index === 0 ? 4 : 0, fin: false }),
    );
  },
  large: (random) => [
    textFrame(
      random,
      JSON.stringify({ type: "message", data: "x".repeat(random.pick([32_700, 32_768, 33_000, 100_000])) }),
    ),
  ],
  pings: (random) => times(random, 20, 300, () => frame(random, opcodes.ping, Buffer.from("p"))),
  garbage: (random) => [randomBytes(random, random.between(1, 300))],
  mutated: (random, configuration) => {
    const frames = times(random, 1, 4, () => textFrame(random, frameJson(random, configuration)));
    return [mutate(random, Buffer.concat(frames))];
  },
};

/** A connection that is let in, and then says something. */
export function frameCase(random: Random, configuration: Configuration): Case {
  const name = random.pick(Object.keys(generators));
  const handshake = goodHandshake(random, configuration);
  // Compressed frames to who did not agree are a case too, but a short one.
  if (random.chance(0.6)) setHeader(handshake, "Sec-WebSocket-Extensions", "permessage-deflate");
  const frames = generators[name]?.(random, configuration) ?? [];
  const isUpgradeAwaited = random.chance(0.7);
  const { chunks, ending } = howSent(random, Buffer.concat(frames));
  const head = writeRequest(handshake);
  const [first = Buffer.alloc(0), ...rest] = chunks;
  const all = isUpgradeAwaited ? [head, first, ...rest] : [Buffer.concat([head, first]), ...rest];
  return {
    kind: "frames",
    name,
    chunks: all,
    ending,
    isUpgradeAwaited,
    isAnswered: ending === "listen" || (ending === "end" && isUpgradeAwaited),
  };
}

function compressed(bytes: Buffer): Buffer {
  return deflateRawSync(bytes, { finishFlush: zlib.Z_SYNC_FLUSH }).subarray(0, -4);
}

function times(random: Random, min: number, max: number, make: (index: number) => Buffer): Buffer[] {
  return Array.from({ length: random.between(min, max) }, (_, index) => make(index));
}

function frame(random: Random, opcode: number, payload: Buffer, rest: Partial<ClientFrameParts> = {}): Buffer {
  return writeFrame({ opcode, payload, mask: randomBytes(random, 4), ...rest });
}

function textFrame(random: Random, text: string): Buffer {
  return frame(random, opcodes.text, Buffer.from(text));
}

/** The JSON of a frame of the protocol, one of whose members is something else now and then. */
function frameJson(random: Random, configuration: Configuration): string {
  const good: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    ack: { id: '"b-abc-1"' },
    subscribe: { topic: '"news"', since: '"t-abc-1"' },
    unsubscribe: { topic: '"news"' },
    reply: { id: '"r-1"', data: '{"a":1}' },
    message: { event: '"said"', data: "[1,2]" },
    auth: { token: JSON.stringify(configuration.flagOf("fuzz1")) },
    [random.pick(texts)]: { x: "1" },
  };
  const type = random.pick(Object.keys(good));
  const members: [name: string, json: string][] = [["type", JSON.stringify(type)], ...Object.entries(good[type] ?? {})];
  if (random.chance(0.5)) members.push(["ref", random.pick([...jsonTexts, "1", '"r"'])]);
  if (random.chance(0.5))
    members[random.between(0, members.length - 1)] = [
      random.pick(["type", "id", "data", "ref", "token"]),
      random.pick(jsonTexts),
    ];
  if (random.chance(0.2)) members.push(random.pick(members));
  return `{${members.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(",")}}`;
}
