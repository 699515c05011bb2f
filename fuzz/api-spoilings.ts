import { gzipSync } from "node:zlib";
import { mutate, randomBytes } from "./bytes.ts";
import { setHeader } from "./request.ts";
import { headerOf, repeatedHeaderOf, type Spoiling } from "./spoiling.ts";
import { targetPart, texts } from "./values.ts";

/** The ways to spoil a call; a whole request comes of each all the same. */
export const apiSpoilings: Readonly<Record<string, Spoiling>> = {
  good: () => {},
  bodyBytes: (request, random) => {
    request.body = mutate(random, request.body);
  },
  bodyGarbage: (request, random) => {
    request.body = random.pick([
      Buffer.alloc(0),
      randomBytes(random, 60),
      Buffer.from("\ufeff{}"),
      Buffer.from("{}", "utf16le"),
      Buffer.from('{"data":"\xff"}', "latin1"),
      gzipSync('{"data":1}'),
    ]);
  },
  bodyLarge: (request, random) => {
    const length = random.pick([32_700, 32_769, 36_864, 40_000, 200_000]);
    request.body = Buffer.from(`{"data":"${"x".repeat(length)}"}`);
  },
  contentType: headerOf("Content-Type", [
    undefined,
    "",
    "text/plain",
    "application/json; charset=utf-16",
    "application/json;charset=",
    'application/json; charset="utf-8',
    "application/vnd.x+json",
    "multipart/form-data; boundary=x",
    "application/json, text/plain",
    "\xff",
    `application/${"x".repeat(5000)}+json`,
    `application/json${"; a=b".repeat(1000)}`,
  ]),
  encoding: headerOf("Content-Encoding", ["gzip", "identity", "br", "", "identity, gzip", "\xff"]),
  method: (request, random) => {
    request.method = random.pick([
      "PUT",
      "PATCH",
      "DELETE",
      "OPTIONS",
      "HEAD",
      "TRACE",
      "CONNECT",
      "GET",
      "POST",
      "LINK",
      "PURGE",
      "get",
      "X",
    ]);
  },
  target: (request, random) => {
    const odd = [
      "/",
      "//",
      "*",
      "/..",
      "/broadcast/",
      "/Broadcast",
      "/%62roadcast",
      "/users",
      "/users//messages",
      "/users/a/b/c",
      "/client.js",
      "/console/",
      "/sse",
      "/healthz?x=%ff",
      "/metrics",
      "/metrics/",
      "http://x/broadcast",
      "http://[::/broadcast",
      "/broadcast#x",
      "/broadcast;x",
      "/\xff",
      `/${"x".repeat(9000)}`,
      `/users/${"%41".repeat(2000)}`,
      "/users/%2e%2e/messages",
      "broadcast",
    ];
    request.target = random.pick(odd);
  },
  query: (request, random) => {
    const names = ["after", "limit", "wait", "timeout", "since", "__proto__", "x", "%ff", ""];
    const values = [
      "",
      "0",
      "1",
      "1000",
      "1001",
      "-1",
      "1e3",
      "b-abc-1",
      "u-x-0",
      "t-x-1",
      "l-x-1",
      "ack",
      random.pick(["%ff", "%", "%00", "+", targetPart(random)]),
    ];
    const pairs = Array.from({ length: random.between(1, 5) }, () => `${random.pick(names)}=${random.pick(values)}`);
    request.target = `${request.target.split("?", 1)[0]}?${pairs.join(random.pick(["&", "&&", ";", "?"]))}`;
  },
  authorization: (request, random, { keys }) => {
    const key = random.pick([...keys, "x", ""]);
    setHeader(
      request,
      "Authorization",
      random.pick([
        undefined,
        "",
        `Bearer ${key}`,
        `Bearer ${key}x`,
        `Basic ${key}`,
        `Bearer ${key}, Bearer ${key}`,
        key,
        "Bearer \xff",
        `Bearer ${"x".repeat(8000)}`,
      ]),
    );
    if (random.chance(0.1)) request.headers.push(["Authorization", `Bearer ${key}`]);
  },
  idempotency: repeatedHeaderOf("Idempotency-Key", [
    "",
    "k",
    "a b",
    "x".repeat(128),
    "x".repeat(129),
    "\xff",
    "\xc3\xa9",
    "k, k",
    "\t",
    "__proto__",
    "x".repeat(8000),
  ]),
  requestId: repeatedHeaderOf("X-Request-Id", [
    "",
    "ok",
    "a b",
    "x".repeat(129),
    "\xff",
    "<script>",
    "$".concat("{jndi:ldap://x}"),
    '"',
    "a\tb",
    "x".repeat(8000),
  ]),
  expect: headerOf("Expect", ["100-continue", "200-ok", ""]),
  version: (request, random) => {
    request.version = random.pick(["HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "http/1.1", ""]);
    if (random.chance(0.5)) setHeader(request, "Connection", random.pick(["keep-alive", "close", "upgrade", ""]));
  },
  header: (request, random) => {
    const name = random.pick([
      "Host",
      "Accept",
      "Cookie",
      "Range",
      "If-None-Match",
      "X-HTTP-Method-Override",
      "Upgrade",
      "TE",
      "Via",
      "Connection",
    ]);
    setHeader(
      request,
      name,
      random.pick([
        undefined,
        "",
        "x",
        "\xff",
        random
          .pick(texts)
          .toWellFormed()
          .replaceAll(/\p{Cc}/gu, ""),
      ]),
    );
  },
  headers: (request, random) => {
    for (let i = random.pick([90, 100, 101, 300]); i > 0; i--) request.headers.push([`X-${i}`, "x"]);
  },
};
