import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { peakResidentBytesOf, residentBytesOf } from "../../bench/process-usage.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/service.ts";
import { begin, Flood, fetchThrough, pour, sha256Of, startTarget, startTunnel } from "../support/tunnel.ts";

const megabyte = 1_000_000;

/** How much the long download brings: 100 in the figures of the example's README. */
const downloadMegabytes = Number(process.env["TUNNEL_MEGABYTES"] ?? 20);

/** What a text hashes to. */
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Answers what it was asked. */
async function mirror(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = await sha256Of(request);
  const { method, url, headersDistinct } = request;
  response.writeHead(201, { "X-Mirror": ["one", "two"], "Set-Cookie": ["a=1", "b=2"] });
  response.end(JSON.stringify({ method, url, headers: headersDistinct, sha256: hash }));
}

/** A target that floods whoever asks for /N with N bytes, and remembers with what, and who went away before the end. */
async function startFlooding() {
  const floods: Flood[] = [];
  const unfinished: string[] = [];
  const port = await startTarget(async (request, response) => {
    const flood = new Flood(Number(request.url?.slice(1)));
    floods.push(flood);
    response.on("close", () => void (response.writableFinished || unfinished.push(request.url ?? "")));
    await pour(flood, response);
  });
  return { port, floods, unfinished };
}

describe("a tunnel", () => {
  it("brings method, path, headers and body to the server behind it, and its answer back", async () => {
    const { gateway } = await startTunnel(await startTarget(mirror));
    const flood = new Flood(3 * megabyte);
    const chunked = { "Transfer-Encoding": "chunked" };

    const get = await fetchThrough(gateway.port, { path: "//b/c?d=%20e", headers: { "X-Kind": ["f", "g"] } });
    const put = await fetchThrough(gateway.port, { method: "PUT", path: "/up", body: flood.stream });
    const post = await fetchThrough(gateway.port, { method: "POST", headers: { "Content-Length": "2" }, body: "hi" });
    const remove = await fetchThrough(gateway.port, { method: "DELETE", headers: chunked, body: "why" });
    const head = await fetchThrough(gateway.port, { method: "HEAD" });

    expect(get).toMatchObject({ status: 201, headers: { "x-mirror": ["one", "two"], "set-cookie": ["a=1", "b=2"] } });
    expect(JSON.parse(get.text)).toMatchObject({
      method: "GET",
      url: "//b/c?d=%20e",
      headers: { "x-kind": ["f", "g"], "x-forwarded-for": ["127.0.0.1"], via: ["1.1 belfry-tunnel"] },
    });
    expect(JSON.parse(put.text)).toMatchObject({ method: "PUT", url: "/up", sha256: flood.sha256 });
    expect(JSON.parse(post.text)).toMatchObject({ headers: { "content-length": ["2"] }, sha256: sha256("hi") });
    expect(JSON.parse(remove.text)).toMatchObject({ method: "DELETE", sha256: sha256("why") });
    expect([head.status, head.text]).toEqual([201, ""]);
  });

  it("keeps to each hop what is about the hop, and takes an answer before the whole body was sent", async () => {
    const hop = {
      Connection: "x-private, close",
      "X-Private": "1",
      "Proxy-Authorization": "Basic eA==",
      TE: "trailers",
    };
    const { gateway } = await startTunnel(
      await startTarget(async (request, response) => {
        await once(request, "data");
        response.writeHead(413, { Connection: "x-secret", "X-Secret": "1", "Proxy-Authenticate": "Basic" });
        response.end(JSON.stringify(request.headers));
      }),
    );

    const body = new PassThrough();
    body.write("the beginning of something that never ends");
    const { status, headers, text } = await fetchThrough(gateway.port, { method: "POST", body, headers: hop });

    expect(status).toBe(413);
    const names = Object.keys(JSON.parse(text));
    expect(names).toContain("x-forwarded-host");
    expect(names.filter((name) => /private|proxy|^te$/.test(name))).toEqual([]);
    expect(Object.keys(headers).filter((name) => /secret|proxy/.test(name))).toEqual([]);
  });

  it("brings what is sent bit by bit as it comes, and answers 504 where nothing comes in time", async () => {
    const lines = ["one", "two", "three"];
    const { gateway } = await startTunnel(
      await startTarget(async ({ url }, response) => {
        if (url === "/never") return;
        // Longer than the client waits for a chunk before it says that there is none.
        const timer = setInterval(() => {
          response.write(lines.shift());
          if (lines.length > 0) return;
          clearInterval(timer);
          response.end();
        }, 1200);
      }),
      { TIMEOUT_MS: "2000" },
    );

    const never = fetchThrough(gateway.port, { path: "/never" });
    const chunks: string[] = [];
    for await (const chunk of await begin(gateway.port)) chunks.push(String(chunk));

    expect(chunks).toEqual(["one", "two", "three"]);
    expect(await never).toMatchObject({ status: 504, text: "no answer in time\n" });
  });

  it("carries 20 downloads at once, pauses one whose caller does not read, and ends one whose caller goes away", async () => {
    const { port, floods, unfinished } = await startFlooding();
    const { gateway } = await startTunnel(port);
    const total = 60 * megabyte;

    const paused = await begin(gateway.port, { path: `/${total}` });
    const left = await begin(gateway.port, { path: `/${1000 * megabyte}` });
    await once(left, "readable");
    left.destroy();
    const sums = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => sha256Of(await begin(gateway.port, { path: `/${400_000 + n}` }))),
    );

    expect(new Set(sums).size).toBe(20);
    expect(sums.toSorted()).toEqual(
      floods
        .slice(2)
        .map((flood) => flood.sha256)
        .toSorted(),
    );
    await until(() => unfinished.includes(`/${1000 * megabyte}`));
    // The buffers of the system take some, and then nothing moves any more, however much passes by.
    await sha256Of(await begin(gateway.port, { path: `/${15 * megabyte}` }));
    const taken = floods[0]?.bytes;
    await sha256Of(await begin(gateway.port, { path: `/${5 * megabyte}` }));
    expect(floods[0]?.bytes).toBe(taken);
    expect(taken).toBeLessThan(total);
    expect(await sha256Of(paused)).toBe(floods[0]?.sha256);
  });

  it("pauses a caller while the server does not read, and gives each request to one of several clients", async () => {
    const stuck = Promise.withResolvers<void>();
    const seen: string[] = [];
    const { gateway, startClient } = await startTunnel(
      await startTarget(async (request, response) => {
        seen.push(request.url ?? "");
        if (request.url === "/stuck") await stuck.promise;
        response.end(await sha256Of(request));
      }),
      { TIMEOUT_MS: "4000" },
    );
    await startClient();
    const total = 60 * megabyte;
    const flood = new Flood(total);

    const answer = fetchThrough(gateway.port, { method: "POST", path: "/stuck", body: flood.stream });
    await until(() => flood.bytes > megabyte);
    const post = async (path: string, bytes: number) => {
      const other = new Flood(bytes);
      const { text } = await fetchThrough(gateway.port, { method: "POST", path, body: other.stream });
      expect(text).toBe(other.sha256);
    };
    const paths = Array.from({ length: 20 }, (_, n) => `/${n + 10}`);
    for (const path of paths) await post(path, megabyte);

    const taken = flood.bytes;
    await post("/last", 5 * megabyte);
    expect(flood.bytes).toBe(taken);
    expect(taken).toBeLessThan(total);
    stuck.resolve();
    expect(await answer).toMatchObject({ status: 200, text: flood.sha256 });
    expect(seen).toEqual(["/stuck", ...paths, "/last"]);
  });
});

describe("a tunnel that cannot serve", () => {
  it("answers 502 when nobody listens behind it, and to what is no path of the server's", async () => {
    const { gateway } = await startTunnel(await freePort());
    const refused = { status: 502, text: expect.stringContaining("ECONNREFUSED") };
    expect(await fetchThrough(gateway.port)).toMatchObject(refused);
    const body = new Flood(5 * megabyte).stream;
    expect(await fetchThrough(gateway.port, { method: "POST", body })).toMatchObject(refused);
    expect(await fetchThrough(gateway.port, { path: "http://elsewhere/" })).toMatchObject({ status: 502 });
  });

  it("breaks off downloads when its client dies, and answers 502 from then on", async () => {
    const { port } = await startFlooding();
    const { gateway, client, replicas } = await startTunnel(port);
    const response = await begin(gateway.port, { path: `/${100 * megabyte}` });
    await once(response, "readable");

    client.child.kill("SIGKILL");

    await expect(sha256Of(response)).rejects.toThrow("aborted");
    expect(await fetchThrough(gateway.port)).toMatchObject({ status: 502, text: "the tunnel is not connected\n" });
    replicas[0].child.kill("SIGKILL");
    await replicas[0].exited;
    const unreachable = { status: 502, text: "the push service cannot be reached\n" };
    expect(await fetchThrough(gateway.port)).toMatchObject(unreachable);
  });

  it("serves again when the replica that its client was connected to comes back", async () => {
    const { gateway, replicas, startReplica } = await startTunnel(await startTarget(mirror));
    const { child, exited, port } = replicas[1];
    child.kill("SIGKILL");
    await exited;
    expect(await fetchThrough(gateway.port)).toMatchObject({ status: 502 });

    await startReplica(port);

    await until(async () => (await fetchThrough(gateway.port)).status === 201, 20_000);
  });
});

describe("a long download", () => {
  it("is exact, and needs no more memory the longer it is", async ({ annotate }) => {
    const { port, floods } = await startFlooding();
    const { gateway, client, replicas } = await startTunnel(port);
    const children = { gateway, "replica 1": replicas[0], "replica 2": replicas[1], client };
    const pids = Object.entries(children).map(([name, { child }]) => [name, child.pid ?? 0] as const);
    // The first bytes bring what a process needs to work at all.
    await sha256Of(await begin(gateway.port, { path: `/${megabyte}` }));
    const before = new Map(pids.map(([name, pid]) => [name, residentBytesOf(pid)]));

    const start = performance.now();
    const sum = await sha256Of(await begin(gateway.port, { path: `/${downloadMegabytes * megabyte}` }));
    const seconds = (performance.now() - start) / 1000;

    expect(sum).toBe(floods[1]?.sha256);
    const growths = pids.map(([name, pid]) => {
      const [from = 0, peak] = [before.get(name), peakResidentBytesOf(pid)];
      return { name, from: Math.round(from / megabyte), peak: Math.round(peak / megabyte) };
    });
    const speed = `${downloadMegabytes} MB in ${seconds.toFixed(1)} s: ${(downloadMegabytes / seconds).toFixed(1)} MB/s`;
    console.log(
      `tunnel: ${speed}; ${growths.map(({ name, from, peak }) => `${name} ${from} -> ${peak} MB`).join(", ")}`,
    );
    // Where /proc does not say, it is not a number, and nothing is known.
    expect(growths.filter(({ from, peak }) => peak - from > 150)).toEqual([]);
    await annotate(speed);
  });
});
