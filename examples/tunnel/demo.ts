import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { Belfry } from "belfry";

function* large() {
  for (let n = 0; n < 1600; n++) yield Buffer.alloc(65_536);
}

/** The private server: it says what it was asked, and has something large, sent as fast as the caller takes it. */
const local = createServer(async (request, response) => {
  if (request.url === "/large") return pipeline(large, response).catch(() => {});
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  response.setHeader("content-type", "application/json");
  return response.end(
    `${JSON.stringify({ method: request.method, path: request.url, bytes, headers: request.headers })}\n`,
  );
}).listen(0, "127.0.0.1");
await once(local, "listening");
const target = `http://127.0.0.1:${(local.address() as AddressInfo).port}`;

const maxClientFramesPerSecond = 1000;
const belfry = await Belfry.start({ port: 0, host: "127.0.0.1", logLevel: "warn", maxClientFramesPerSecond });

// Three programs on three machines in truth. Here they share a process, and find each other as they would by environment.
Object.assign(process.env, {
  TARGET: target,
  BELFRY_URL: `ws://127.0.0.1:${belfry.port}/ws`,
  BELFRY_API: `http://127.0.0.1:${belfry.port}`,
  MAX_CLIENT_FRAMES_PER_SECOND: String(maxClientFramesPerSecond),
});
const { url } = await import("./gateway.ts");
console.log(`
Its callers reach ${target}, though no connection is ever opened to there from the gateway. Try

  curl -i ${url}/hello -d 'some body'
  curl ${url}/large -o /dev/null
`);
// It serves for as long as it runs, so this comes last.
await import("./client.ts");
