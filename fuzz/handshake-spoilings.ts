import { randomBytes } from "./bytes.ts";
import { setHeader } from "./request.ts";
import { headerOf, repeatedHeaderOf, type Spoiling } from "./spoiling.ts";
import { someFlag } from "./token-cases.ts";
import { targetPart, texts, urlPart } from "./values.ts";

const extensions = [
  "permessage-deflate",
  "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
  "permessage-deflate; server_max_window_bits=8",
  "permessage-deflate; server_max_window_bits=15; client_max_window_bits=8",
  "permessage-deflate; client_max_window_bits=99",
  "permessage-deflate; client_max_window_bits; client_max_window_bits",
  'permessage-deflate; client_max_window_bits="10"',
  'permessage-deflate; client_max_window_bits="10',
  "permessage-deflate; unknown=1, permessage-deflate",
  "permessage-deflate;;;",
  "x-webkit-deflate-frame",
  "permessage-deflate; =",
  ", , ,",
  ";",
  "",
  '"',
  "\xff",
  Array.from({ length: 300 }, () => "permessage-deflate").join(", "),
  `permessage-deflate${"; client_max_window_bits".repeat(200)}`,
];

/** The ways to spoil a handshake; the input that comes of each is a whole request all the same. */
export const handshakeSpoilings: Readonly<Record<string, Spoiling>> = {
  good: () => {},
  flag: (request, random, configuration) => {
    const flag = someFlag(random, configuration);
    setHeader(request, "Sec-WebSocket-Protocol", random.pick([flag, `belfry.v1, ${flag}`, `${flag},belfry.v1`]));
  },
  bearer: (request, random, configuration) => {
    const flag = someFlag(random, configuration);
    setHeader(request, "Sec-WebSocket-Protocol", random.pick([undefined, "belfry.v1", ""]));
    setHeader(
      request,
      "Authorization",
      random.pick([`Bearer ${flag}`, `bearer  ${flag} `, `Basic ${flag}`, flag, "Bearer", ""]),
    );
  },
  subprotocols: (request, random, configuration) => {
    const pool = ["belfry.v1", "a", "b", "", " ", "a b", "\xe9", "belfry.v2", someFlag(random, configuration)];
    const offered = Array.from({ length: random.between(1, 5) }, () => random.pick(pool));
    setHeader(request, "Sec-WebSocket-Protocol", offered.join(random.pick([",", ", ", " ,\t", ";"])));
  },
  since: (request, random) => {
    const one = () =>
      random.pick([urlPart(random), "earliest", "b-abc-1", "u-abc-0", `b-${"z".repeat(33)}-1`, "b-abc-01", "t-abc-1"]);
    const all = Array.from(
      { length: random.between(1, 4) },
      () => `${random.pick(["since", "SINCE", "%73ince", "x"])}=${one()}`,
    );
    request.target = `/ws?${all.join(random.pick(["&", ";", "&&", "?", "#"]))}`;
  },
  target: (request, random) => {
    const odd = [
      "*",
      "/",
      "//ws",
      "/ws/",
      "/WS",
      "/%77s",
      "/ws%2f",
      "/ws#x",
      "/ws?",
      "?",
      "http://localhost/ws",
      "http://[::/ws",
      "ws",
      "/ws/../ws",
      "/ws\\",
      "/\xff",
      "/ws?\xff",
      `/ws?${"x".repeat(9000)}`,
      `/ws?${"since=b-a-1&".repeat(500)}`,
      "localhost:80",
    ];
    request.target = random.chance(0.7) ? random.pick(odd) : `/${targetPart(random)}`;
  },
  method: (request, random) => {
    request.method = random.pick([
      "POST",
      "HEAD",
      "OPTIONS",
      "CONNECT",
      "PUT",
      "DELETE",
      "TRACE",
      "PRI",
      "get",
      "GETT",
      "G\xcbT",
      "",
      "M-SEARCH",
      "PROPFIND",
      "QUERY",
    ]);
  },
  version: (request, random) => {
    request.version = random.pick([
      "HTTP/1.0",
      "HTTP/2.0",
      "HTTP/0.9",
      "HTTP/1.2",
      "HTTP/1",
      "http/1.1",
      "HTTP/1.1 ",
      "HTTP/11",
      "",
      "RTSP/1.0",
      "ICE/1.0",
    ]);
  },
  key: (request, random) => {
    const odd = [
      undefined,
      "",
      "x",
      "dGhlIHNhbXBsZSBub25jZQ=",
      "dGhlIHNhbXBsZSBub25jZQ===",
      `${"A".repeat(22)}==, ${"A".repeat(22)}==`,
      "\xff".repeat(24),
      randomBytes(random, random.between(0, 40)).toString("base64"),
    ];
    setHeader(request, "Sec-WebSocket-Key", random.pick(odd));
  },
  version13: headerOf("Sec-WebSocket-Version", [
    undefined,
    "",
    "8",
    "12",
    "013",
    "13, 8",
    "13.0",
    "-13",
    "99999999999",
    "x",
  ]),
  upgrade: (request, random) => {
    setHeader(
      request,
      "Upgrade",
      random.pick([undefined, "", "WebSocket", "websocket, h2c", "h2c", "not-websocket", "websocket/13", "\xff"]),
    );
    setHeader(
      request,
      "Connection",
      random.pick([undefined, "", "keep-alive", "upgrade, close", "keep-alive, Upgrade", "Upgrade", "close"]),
    );
  },
  extensions: headerOf("Sec-WebSocket-Extensions", extensions),
  origin: headerOf("Origin", [
    "null",
    "",
    "https://app.example.com",
    "https://evil.example",
    "https://a.example.org",
    "https://example.org.evil",
    "file://",
    "https://[::1",
    "x",
    "https://app.example.com:443",
    "https://app.example.com, https://x",
    "\xff",
  ]),
  forwarded: (request, random) => {
    const odd = [
      "",
      ",",
      "1.2.3.4",
      "1.2.3.4, 5.6.7.8",
      "::1",
      "x".repeat(5000),
      "\xff",
      ", , ,",
      "unknown",
      "1.2.3.4:80",
      "a,".repeat(2000),
    ];
    setHeader(request, random.pick(["X-Forwarded-For", "Forwarded"]), random.pick(odd));
  },
  host: repeatedHeaderOf("Host", [undefined, "", "a b", "[", "x".repeat(3000), "localhost:99999", "\xff"]),
  expect: headerOf("Expect", ["100-continue", "200-ok", "", "\xff"]),
  headers: (request, random) => {
    const count = random.pick([1, 50, 93, 94, 95, 100, 101, 102, 500]);
    for (let i = 0; i < count; i++) request.headers.push([`X-${i}`, random.pick(["", "x", "\xff"])]);
  },
  headerBytes: (request, random) => {
    request.headers.push([
      random.pick(["X-Long", "Cookie", "Sec-WebSocket-Protocol", "x".repeat(4000)]),
      "x".repeat(random.pick([4000, 12_000, 15_900, 16_384, 17_000, 40_000])),
    ]);
  },
  twice: (request, random) => {
    const [name, value] = random.pick(request.headers);
    request.headers.push([random.chance(0.5) ? name : name.toLowerCase(), random.pick([value, "", "other"])]);
  },
  missing: (request, random) => {
    request.headers.splice(random.between(0, request.headers.length - 1), 1);
  },
  headerText: (request, random) => {
    const at = random.between(0, request.headers.length - 1);
    const [name = "", value = ""] = request.headers[at] ?? [];
    const text = random.pick(texts).toWellFormed();
    request.headers[at] = random.pick([
      [`${name} `, value],
      [` ${name}`, value],
      [name, `${value}\r\n folded`],
      [name, text],
      [text, value],
      [`${name}\0`, value],
      [name, `\t${value}\x0b`],
      ["", value],
    ]);
  },
  body: (request, random) => {
    request.body = random.pick([Buffer.from("{}"), randomBytes(random, 50), Buffer.from("GET / HTTP/1.1\r\n\r\n")]);
    setHeader(request, "Content-Length", String(request.body.length));
  },
};

/** Their names, those more often that decide who somebody is. */
export const spoilingNames = [
  ...Object.keys(handshakeSpoilings),
  ...["flag", "flag", "flag", "flag", "bearer", "bearer", "since", "extensions"],
];
