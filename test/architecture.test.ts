import { existsSync, globSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { describe, expect, it } from "vitest";
import { findCycle, type Import, importsOf } from "./support/imports.ts";

const root = new URL("../src/", import.meta.url);

/** An import of the service's source, with what it names. */
interface Found extends Import {
  /** The importing file, such as `hub/hub.ts`. */
  readonly file: string;
  /** The imported file, such as `protocol/streams.ts`; undefined for a package. */
  readonly target: string | undefined;
  /** The imported package, such as `ws`; undefined for a file and for what Node brings along. */
  readonly library: string | undefined;
}

const files = globSync("**/*.ts", { cwd: root })
  .map((file) => file.replaceAll("\\", "/"))
  .toSorted();

const imports: Found[] = files.flatMap((file) =>
  importsOf(readFileSync(new URL(file, root), "utf8")).map((found) => {
    const isFile = found.specifier.startsWith(".");
    const isPackage = !isFile && !found.specifier.startsWith("node:");
    return {
      ...found,
      file,
      target: isFile ? posix.join(posix.dirname(file), found.specifier) : undefined,
      library: isPackage ? found.specifier.split("/", found.specifier.startsWith("@") ? 2 : 1).join("/") : undefined,
    };
  }),
);

/** Where the imports stand that break a rule, ready to be clicked on. */
function breaking(rule: (found: Found) => boolean): string[] {
  return imports.filter(rule).map(({ file, line, specifier }) => `src/${file}:${line} imports ${specifier}`);
}

/** The room a file stands in: its directory, or the file itself at the top. */
const roomOf = (file: string) => (file.includes("/") ? file.slice(0, file.indexOf("/")) : file);

/** Small modules at the top that every room but the protocol may use. */
const leaves = [
  "errors.ts",
  "log.ts",
  "config.ts",
  "config-variables.ts",
  "config-values.ts",
  "credentials.ts",
  "redis-url.ts",
  "tls-files.ts",
  "api-keys-file.ts",
  "named-files.ts",
  "token-bucket.ts",
  "fifo.ts",
  "raw-http.ts",
  "end-of-turn.ts",
];

/** Which other rooms each room may import. A new room must be entered here. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["app.ts", "exit-config.ts", ...leaves],
  "cli.ts": ["main.ts", "load", "auth", "protocol", "version.ts", "exit-config.ts", ...leaves],
  "index.ts": ["app.ts", "client-frames.ts", "hub", ...leaves],
  "app.ts": [
    "webhooks",
    "client-frames.ts",
    "transports.ts",
    "backend-events.ts",
    "ws",
    "http",
    "auth",
    "hub",
    "broker",
    "protocol",
    "metrics.ts",
    "version.ts",
    ...leaves,
  ],
  "transports.ts": ["client-frames.ts", "entrance.ts", "heartbeat.ts", "ws", "sse", "auth", "hub", ...leaves],
  "client-frames.ts": ["auth", "hub", "protocol", ...leaves],
  "client-connection.ts": ["intake.ts", "heartbeat.ts", "hub", "protocol", ...leaves],
  "entrance.ts": ["auth", "hub", "protocol", ...leaves],
  "intake.ts": ["hub", "protocol", ...leaves],
  "heartbeat.ts": ["protocol", ...leaves],
  "backend-events.ts": ["hub", "broker", "webhooks", "protocol", "metrics.ts", ...leaves],
  // It is told what happens, and knows of the service nothing else.
  webhooks: [...leaves],
  sse: ["entrance.ts", "client-connection.ts", "auth", "hub", "broker", "protocol", ...leaves],
  ws: ["entrance.ts", "client-connection.ts", "auth", "hub", "broker", "protocol", ...leaves],
  http: ["sse", "auth", "hub", "broker", "protocol", "metrics.ts", ...leaves],
  auth: ["protocol", ...leaves],
  hub: ["broker", "protocol", ...leaves],
  broker: ["protocol", ...leaves],
  // It runs in browsers, and knows of the service what is seen from outside.
  client: ["protocol"],
  publisher: [],
  protocol: [],
  // It knows of a server what is seen from outside, and loads others too.
  load: [],
  "metrics.ts": ["counter.ts", "weighted-histogram.ts"],
  "counter.ts": ["series.ts"],
  "weighted-histogram.ts": ["series.ts"],
  "series.ts": [],
  "version.ts": [],
  "exit-config.ts": ["config.ts"],
  "errors.ts": [],
  "log.ts": [],
  "config.ts": ["config-variables.ts", "tls-files.ts", "api-keys-file.ts"],
  "config-variables.ts": ["config-values.ts", "redis-url.ts"],
  "api-keys-file.ts": ["config-values.ts", "named-files.ts"],
  "tls-files.ts": ["named-files.ts"],
  "named-files.ts": [],
  "config-values.ts": ["protocol"],
  "credentials.ts": [],
  "redis-url.ts": [],
  "token-bucket.ts": [],
  "fifo.ts": [],
  "raw-http.ts": ["errors.ts"],
  "end-of-turn.ts": [],
};

/** The one door of each library: which files may import it. */
const doors: Readonly<Record<string, RegExp>> = {
  ioredis: /^broker\/redis[^/]*\.ts$/,
  "cluster-key-slot": /^broker\/redis-cluster\.ts$/,
  "rate-limiter-flexible": /^broker\/publish-limit\.ts$/,
  ws: /^ws\//,
  express: /^http\/|^app\.ts$/,
  "prom-client": /^metrics\.ts$/,
  pino: /^log\.ts$/,
  zod: /^config(-values|-variables)?\.ts$|^http\//,
  commander: /^cli\.ts$/,
  "proxy-addr": /^http\/remote-address\.ts$/,
  jose: /^auth\/(jwt|sign-token)\.ts$/,
};

describe("the source", () => {
  it("is found at all", () => {
    expect(files).toEqual(expect.arrayContaining(["main.ts", "hub/hub.ts", "protocol/frames.ts"]));
    expect(imports.length).toBeGreaterThan(files.length);
  });

  it("stands in rooms that this test knows", () => {
    expect(new Set(files.map(roomOf))).toEqual(new Set(Object.keys(mayImport)));
  });

  it("imports its own files by their name with .ts", () => {
    const exists = (target: string) => target.endsWith(".ts") && existsSync(new URL(target, root));
    expect(breaking(({ target }) => target !== undefined && !exists(target))).toEqual([]);
  });

  it("imports in one direction: from the process to the protocol", () => {
    const allowed = ({ file, target = "" }: Found) =>
      roomOf(file) === roomOf(target) || mayImport[roomOf(file)]?.includes(roomOf(target));
    expect(breaking((found) => found.target !== undefined && !allowed(found))).toEqual([]);
  });

  it("sees of the brokers only their port, but where all parts are put together", () => {
    const isInside = ({ file, target }: Found) =>
      roomOf(file) !== "broker" && target?.startsWith("broker/") && target !== "broker/broker.ts";
    expect(breaking((found) => found.file !== "app.ts" && isInside(found) === true)).toEqual([]);
  });

  it("has no circles", () => {
    const targets = (file: string) => imports.flatMap((one) => (one.file === file && one.target ? [one.target] : []));
    expect(findCycle(new Map(files.map((file) => [file, targets(file)])))).toBeUndefined();
  });
});

describe("libraries", () => {
  it("come in by one door each", () => {
    const allowed = ({ file, library = "" }: Found) => doors[library]?.test(file) === true;
    expect(breaking((found) => found.library !== undefined && !allowed(found))).toEqual([]);
  });

  it("stay out of the protocol, which runs in browsers, as does Node", () => {
    expect(breaking(({ file, target }) => roomOf(file) === "protocol" && target === undefined)).toEqual([]);
  });

  it("stay out of the hub", () => {
    expect(breaking(({ file, library }) => roomOf(file) === "hub" && library !== undefined)).toEqual([]);
  });

  it("of express bring only types to where all parts are put together", () => {
    const source = readFileSync(new URL("app.ts", root), "utf8");
    const lines = source.split("\n").filter((line) => /from "express"/.test(line));
    expect(lines.filter((line) => !line.startsWith("import type "))).toEqual([]);
  });
});

describe("what reads the imports", () => {
  it("finds imports of every kind, with their lines, and none in comments and texts", () => {
    const source = [
      'import { a } from "./a.ts";',
      'import type { B } from "./b.ts";',
      "import {",
      "  c,",
      "  type D,",
      '} from "./c.ts";',
      'import "./effect.ts";',
      'export { e } from "./e.ts";',
      'export * from "f";',
      '// import { no } from "no";',
      '/* import { no } from "no"; */ const url = "https://no"; const text = "import(no)";',
      'await import("./g.ts");',
      'type H = import("h").H;',
      "export const i = 1;",
    ];
    expect(importsOf(source.join("\n"))).toEqual([
      { specifier: "./a.ts", line: 1 },
      { specifier: "./b.ts", line: 2 },
      { specifier: "./c.ts", line: 6 },
      { specifier: "./effect.ts", line: 7 },
      { specifier: "./e.ts", line: 8 },
      { specifier: "f", line: 9 },
      { specifier: "./g.ts", line: 12 },
      { specifier: "h", line: 13 },
    ]);
  });

  it("finds a circle wherever it begins, and none where there is none", () => {
    const graph = (...edges: [string, string[]][]) => new Map(edges);
    expect(findCycle(graph(["a", ["b", "c"]], ["b", ["c"]], ["c", []]))).toBeUndefined();
    expect(findCycle(graph(["a", ["b"]], ["b", ["c"]], ["c", ["b"]]))).toEqual(["b", "c", "b"]);
    expect(findCycle(graph(["a", ["a"]]))).toEqual(["a", "a"]);
  });
});
