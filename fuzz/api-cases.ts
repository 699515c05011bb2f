import type { Random } from "../chaos/random.ts";
import type { ApiDescription, Operation } from "./api-description.ts";
import { apiSpoilings } from "./api-spoilings.ts";
import { mutate } from "./bytes.ts";
import { type Case, howSent } from "./case.ts";
import type { Configuration } from "./configuration.ts";
import { JsonWriter } from "./json-schema.ts";
import { type Request, setHeader, writeRequest } from "./request.ts";
import { spoil } from "./spoiling.ts";
import { someUser, targetPart } from "./values.ts";

/** What is made of a whole request, so that it may be none. */
const distortions: Readonly<Record<string, (request: Request, random: Random) => Buffer>> = {
  mutated: (request, random) => mutate(random, whole(request)),
  cutOff: (request, random) => {
    const bytes = whole(request);
    return bytes.subarray(0, random.between(0, bytes.length - 1));
  },
  lengthLies: (request, random) => {
    const { length } = request.body;
    const odd = [
      length + 1,
      length - 1,
      0,
      -1,
      length + 1e6,
      "99999999999999999999",
      "0x10",
      "1e1",
      "",
      "+5",
      `${length}, ${length}`,
      " ",
      "x",
    ];
    setHeader(request, "Content-Length", String(random.pick(odd)));
    if (random.chance(0.2)) request.headers.push(["Content-Length", String(length)]);
    return writeRequest(request);
  },
  chunked: (request, random) => {
    setHeader(
      request,
      "Transfer-Encoding",
      random.pick(["chunked", "Chunked", "gzip, chunked", "chunked, chunked", "identity", "xchunked", ""]),
    );
    if (random.chance(0.2)) setHeader(request, "Content-Length", String(request.body.length));
    request.body = inChunks(request.body, random);
    return writeRequest(request);
  },
  pipelined: (request, random) => {
    const bytes = whole(request);
    const health = Buffer.from("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    return Buffer.concat(Array.from({ length: random.between(2, 12) }, () => random.pick([bytes, bytes, health])));
  },
};

/** Some call of the API, spoilt or distorted in one way or in two; its body may be wrong as well. */
export function apiCase(random: Random, configuration: Configuration, { operations, schemas }: ApiDescription): Case {
  const operation = random.pick(operations);
  const request = callOf(operation, random, configuration);
  const writer = new JsonWriter(random, schemas, random.pick([0, 0.05, 0.2]));
  if (operation.body) request.body = Buffer.from(writer.write(operation.body));
  const isDistorted = random.chance(0.25);
  const names = spoil(request, random, configuration, apiSpoilings);
  if (revokesAll(request.body)) setHeader(request, "Authorization", undefined);
  if (!isDistorted) {
    const sent = howSent(random, whole(request));
    return {
      ...sent,
      kind: "api",
      name: names[0] ?? "",
      isUpgradeAwaited: false,
      isAnswered: sent.ending === "listen",
    };
  }
  const name = random.pick(Object.keys(distortions));
  const sent = howSent(random, distortions[name]?.(request, random) ?? Buffer.alloc(0));
  return { ...sent, kind: "api", name, isUpgradeAwaited: false, isAnswered: false };
}

function callOf({ method, path, query }: Operation, random: Random, { keys }: Configuration): Request {
  const target = path.replaceAll(/\{\w+\}/g, () => (random.chance(0.8) ? someUser(random) : targetPart(random)));
  const headers: Request["headers"] = [
    ["Host", "localhost"],
    ["Content-Type", "application/json"],
  ];
  const [key] = keys;
  if (key !== undefined) headers.push(["Authorization", `Bearer ${key}`]);
  if (random.chance(0.2)) headers.push(["Idempotency-Key", `k${random.between(1, 500)}`]);
  const asked = query.length > 0 && random.chance(0.5) ? `?${random.pick(query)}=${random.between(0, 1200)}` : "";
  return { method, target: `${target}${asked}`, version: "HTTP/1.1", headers, body: Buffer.alloc(0) };
}

/** The request with the length of its body. */
function whole(request: Request): Buffer {
  if (request.body.length > 0 || request.method === "POST")
    setHeader(request, "Content-Length", String(request.body.length));
  return writeRequest(request);
}

/** A revocation of everybody's tokens does what it should, after which no case would be let in for a while: it is sent without a key. */
function revokesAll(body: Buffer): boolean {
  try {
    const { before, user, jti } = JSON.parse(body.toString()) as Readonly<Record<string, unknown>>;
    return before !== undefined && user === undefined && jti === undefined;
  } catch {
    return false;
  }
}

function inChunks(body: Buffer, random: Random): Buffer {
  const size = random.pick([1, 7, 1000, 100_000]);
  const chunks: Buffer[] = [];
  for (let at = 0; at < body.length && chunks.length < 200; at += size) {
    const chunk = body.subarray(at, at + size);
    const extension = random.chance(0.1) ? random.pick([";a=b", ";", `;${"x".repeat(2000)}`, ';a="\n']) : "";
    const said = random.chance(0.03)
      ? random.pick(["", "-1", "fffffffffffffffff", "0x1", "g", " 1"])
      : chunk.length.toString(16);
    chunks.push(Buffer.from(`${said}${extension}\r\n`), chunk, Buffer.from("\r\n"));
  }
  const end = random.pick([
    "0\r\n\r\n",
    "0\r\n\r\n",
    "0\r\nX-Trailer: 1\r\n\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    "0\r\n",
    "0\n\n",
    "",
  ]);
  return Buffer.concat([...chunks, Buffer.from(end)]);
}
