import { fileURLToPath } from "node:url";
import type { ConnectionPlan } from "../src/load/connection.ts";
import type { Endpoint } from "../src/load/endpoint.ts";
import { nameOf } from "../src/load/shot.ts";
import { cpuSecondsOf, peakResidentBytesOf, residentBytesOf } from "./process-usage.ts";
import { ServerProcess } from "./server-process.ts";

/** What can be asked for with `--servers`. */
export const serverNames = ["belfry", "ws", "socket.io", "uws"] as const;
export type ServerName = (typeof serverNames)[number];

/** A server as it is measured: what it is, and how it is used. */
export interface Contestant {
  readonly label: string;
  readonly server: ServerName;
  start(): Promise<Subject>;
}

/** What runs while one measurement is taken. */
export interface Subject {
  /** How the n-th client connects, but for compression. */
  connection(index: number): Omit<ConnectionPlan, "compression">;
  /** Where messages are published. */
  readonly api: Endpoint;
  readonly headers: Readonly<Record<string, string>>;
  /** CPU time that all of it has had, in s. */
  cpuSeconds(): number;
  /** CPU time of Redis alone; 0 without one. */
  redisCpuSeconds(): number;
  residentBytes(): number;
  peakResidentBytes(): number;
  close(): Promise<void>;
}

/** What the names of the users and topics begin with. */
export const namePrefix = "u";

const key = "bench-key";

/** Header fields of whoever publishes to Belfry. */
export const belfryHeaders = { Authorization: `Bearer ${key}` };

const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Belfry, with all that it does by default, and API keys. */
export function startBelfry(env: Record<string, string> = {}): Promise<ServerProcess> {
  const settings = { HOST: "127.0.0.1", PORT: "0", API_KEYS: `bench:${key}`, ...env };
  // As `npm start` does.
  const args = ["--max-semi-space-size=8", fileOf("../dist/cli.js"), "serve"];
  return ServerProcess.start(process.execPath, args, settings);
}

/** How the n-th client connects to a Belfry. */
export function belfryConnection(endpoint: Endpoint, index: number): Omit<ConnectionPlan, "compression"> {
  return { endpoint, path: "/ws", subprotocols: ["belfry.v1", nameOf(namePrefix, index)], hello: [], greetings: 1 };
}

/** Belfry in memory. */
export function belfryContestant(label: string, env: Record<string, string> = {}): Contestant {
  return {
    label,
    server: "belfry",
    start: async () => {
      const server = await startBelfry(env);
      const connection = (index: number) => belfryConnection(server.endpoint, index);
      return subjectOf(server, connection, belfryHeaders);
    },
  };
}

interface PeerOptions {
  readonly server: ServerName;
  readonly program: string;
  readonly env?: Record<string, string>;
  readonly runtime?: string;
  /** What comes before the query of the address. */
  readonly path?: string;
  readonly hello?: readonly string[];
  readonly greetings?: number;
}

function peer(label: string, options: PeerOptions): Contestant {
  const { server, program, env = {}, runtime = process.execPath, path = "/?", hello = [], greetings = 0 } = options;
  return {
    label,
    server,
    start: async () => {
      const started = await ServerProcess.start(runtime, [fileOf(`servers/${program}`)], env);
      const connection = (index: number) => ({
        endpoint: started.endpoint,
        path: `${path}user=${nameOf(namePrefix, index)}`,
        subprotocols: [],
        hello,
        greetings,
      });
      return subjectOf(started, connection, {});
    },
  };
}

function subjectOf(server: ServerProcess, connection: Subject["connection"], headers: Subject["headers"]): Subject {
  return {
    connection,
    headers,
    api: server.endpoint,
    cpuSeconds: () => cpuSecondsOf(server.pid),
    redisCpuSeconds: () => 0,
    residentBytes: () => residentBytesOf(server.pid),
    peakResidentBytes: () => peakResidentBytesOf(server.pid),
    close: () => server.close(),
  };
}

// The newest Node that the binaries of this package exist for.
const uws = { server: "uws", program: "uws.mjs", runtime: fileOf("node_modules/node/bin/node") } as const;

/** The contestants, by the name that a workload calls them. */
export const contestants = {
  belfry: belfryContestant("Belfry"),
  belfryDeflate: belfryContestant("Belfry, COMPRESSION=true", { COMPRESSION: "true" }),
  naive: peer("ws, naive loop", { server: "ws", program: "naive-ws.ts" }),
  naiveDeflate: peer("ws, permessage-deflate", { server: "ws", program: "naive-ws.ts", env: { DEFLATE: "true" } }),
  express: peer("ws + express", { server: "ws", program: "express-ws.ts" }),
  socketIo: peer("Socket.IO", {
    server: "socket.io",
    program: "socket-io.mjs",
    path: "/socket.io/?EIO=4&transport=websocket&",
    hello: ["40"],
    greetings: 2,
  }),
  uws: peer("uWebSockets.js", uws),
  uwsDeferred: peer("uWebSockets.js, deferred", { ...uws, env: { DEFER: "true" } }),
  uwsDeflate: peer("uWebSockets.js, shared compressor", { ...uws, env: { DEFLATE: "true" } }),
} as const;
