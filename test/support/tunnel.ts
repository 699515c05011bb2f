import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse, request as sendRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { inject, onTestFinished } from "vitest";
import { type ServiceProcess, startProcess } from "./process.ts";
import { hush } from "./secrets.ts";
import { uniquePrefix, until } from "./service.ts";

/** A program of the example, as a process. */
interface Program {
  readonly child: ChildProcess;
  /** Whatever it has printed. */
  readonly output: () => string;
}

/** A tunnel of real processes: what calls the gateway comes to the target by way of two replicas. */
export interface Tunnel {
  /** The replica that the gateway calls, and the one that the client is connected to. */
  readonly replicas: readonly [ServiceProcess, ServiceProcess];
  readonly gateway: Program & { readonly port: number };
  readonly client: Program;
  /** Starts a further replica, on a port of its own when none is given. */
  startReplica(port?: number): Promise<ServiceProcess>;
  /** Starts a further client of the same tunnel. */
  startClient(): Promise<Program>;
}

const apiKey = hush("gateway");
const framesPerSecond = "2000";

/** As `npm start` has it: left to itself, V8 lets garbage of the size of chunks pile up before it looks. */
const nodeOptions = { NODE_OPTIONS: "--max-semi-space-size=8" };

/** Starts a tunnel to a port of this machine; it ends with the test. */
export async function startTunnel(targetPort: number, env: Record<string, string> = {}): Promise<Tunnel> {
  const service = {
    ...nodeOptions,
    REDIS_URL: inject("redisUrl"),
    REDIS_PREFIX: uniquePrefix(),
    API_KEYS: `gateway:${apiKey}:publish`,
    MAX_CLIENT_FRAMES_PER_SECOND: framesPerSecond,
  };
  const startReplica = async (port = 0) => {
    const replica = await startProcess({ ...service, PORT: String(port) });
    await until(async () => (await replica.call("GET", "/readyz")).status === 200);
    return replica;
  };
  const replicas = await Promise.all([startReplica(), startReplica()]);
  const startClient = async () => {
    const client = await startProgram("client", {
      BELFRY_URL: `ws://127.0.0.1:${replicas[1].port}/ws`,
      TARGET: `http://127.0.0.1:${targetPort}`,
      MAX_CLIENT_FRAMES_PER_SECOND: framesPerSecond,
    });
    await until(() => client.output().includes("leads to"));
    return client;
  };
  const api = { BELFRY_API: `http://127.0.0.1:${replicas[0].port}`, API_KEY: apiKey, PORT: "0" };
  const [client, gateway] = await Promise.all([startClient(), startProgram("gateway", { ...api, ...env })]);
  const port = () => Number(/listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(gateway.output())?.[1]);
  await until(() => port() > 0);
  return { replicas, gateway: { ...gateway, port: port() }, client, startClient, startReplica };
}

async function startProgram(name: string, env: Record<string, string>): Promise<Program> {
  const file = fileURLToPath(new URL(`../../examples/tunnel/${name}.ts`, import.meta.url));
  const child = spawn(process.execPath, [file], {
    env: { PATH: process.env["PATH"] ?? "", ...nodeOptions, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text) => {
      output += text;
    });
  }
  await once(child, "spawn");
  return { child, output: () => output };
}

/** Starts the server behind the tunnel; it ends with the test. */
export async function startTarget(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<unknown>,
): Promise<number> {
  // A request that breaks off is no failure of the target.
  const server = createServer(async (...exchange) => await answer(...exchange).catch(() => {})).listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** What a request to the gateway is made of; default: a GET of / without a body. */
interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: Readable | string;
}

/** Begins a request as nothing but Node's own client does it, so that every header is as it is said here. */
export async function begin(port: number, { method = "GET", path = "/", headers = {}, body }: Call = {}) {
  const request = sendRequest({ host: "127.0.0.1", port, method, path, headers, agent: false });
  onTestFinished(() => void request.destroy());
  if (body instanceof Readable) pipeline(body, request).catch(() => {});
  else request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return response;
}

/** Makes a request and reads the whole answer. */
export async function fetchThrough(port: number, call?: Call) {
  const response = await begin(port, call);
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, headers: response.headersDistinct, text };
}

/** Random bytes that come as fast as they are taken, and know how many they were and what they hash to. */
export class Flood {
  bytes = 0;
  readonly #hash = createHash("sha256");
  readonly stream: Readable;

  constructor(totalBytes: number) {
    this.stream = Readable.from(this.#chunks(totalBytes), { objectMode: false });
  }

  get sha256(): string {
    return this.#hash.copy().digest("hex");
  }

  *#chunks(totalBytes: number) {
    while (this.bytes < totalBytes) {
      const chunk = randomBytes(Math.min(65_521, totalBytes - this.bytes));
      this.#hash.update(chunk);
      this.bytes += chunk.length;
      yield chunk;
    }
  }
}

/** Sends all of a flood; a receiver that goes away is its end. */
export function pour(flood: Flood, to: Writable): Promise<void> {
  return pipeline(flood.stream, to).catch(() => {});
}

/** Reads a stream to its end. */
export async function sha256Of(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex");
}
