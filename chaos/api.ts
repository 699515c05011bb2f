import { Agent, type IncomingMessage, request } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** Longest wait for an answer, in ms: a hanging call must be given up and repeated. */
const timeoutMs = 4000;

/** An answer of the publisher API. */
export interface Answer {
  readonly status: number;
  readonly replayed: boolean;
  readonly text: string;
}

/** Path of a stream's messages: of `broadcast`, `user:NAME` or `topic:NAME`. */
export function pathOf(stream: string): string {
  const [scope, name] = stream.split(":");
  return scope === "broadcast" ? "/broadcast" : `/${scope}s/${name}/messages`;
}

/** Calls the publisher API; rejects when no whole answer came. */
export function call(
  port: number,
  method: string,
  path: string,
  body?: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = {
    ...(body !== undefined && { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) }),
    ...more,
  };
  const signal = AbortSignal.timeout(timeoutMs);
  const outgoing = request({ agent, host: "127.0.0.1", port, method, path, headers, signal }, (response) => {
    readAll(response).then((text) => {
      const replayed = response.headers["idempotency-replayed"] === "true";
      resolve({ status: response.statusCode ?? 0, replayed, text });
    }, reject);
  });
  outgoing.on("error", reject);
  outgoing.end(body);
  return promise;
}

/** Lets go of the connections that were kept. */
export function closeCalls(): void {
  agent.destroy();
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
