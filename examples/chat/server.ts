import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Belfry, type Client } from "belfry";

const files = new Map([
  ["/", { url: new URL("./page.html", import.meta.url), type: "text/html; charset=utf-8" }],
  ["/page.js", { url: new URL("./page.js", import.meta.url), type: "text/javascript; charset=utf-8" }],
  ["/page.css", { url: new URL("./page.css", import.meta.url), type: "text/css; charset=utf-8" }],
  ["/icon.svg", { url: new URL("./icon.svg", import.meta.url), type: "image/svg+xml" }],
]);

const security = {
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "X-Content-Type-Options": "nosniff",
};

const server = createServer(async (request, response) => {
  const file = files.get(request.url ?? "");
  if (!file) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { ...security, "Content-Type": file.type });
  response.end(await readFile(file.url));
});

const { hub } = await Belfry.start({
  server,
  logLevel: "warn",
  async onMessage({ event, data }, { user }) {
    const text = (data as { text?: unknown } | null)?.text;
    if (event === "say" && typeof text === "string") await hub.broadcast({ from: user, text }, { event: "said" });
  },
});

// Who comes and goes is news for those who are here now: live only, not kept in history.
const announce = (event: string) => (client: Client) => {
  void hub.broadcast({ name: client.user, here: hub.size }, { event, ttl: 0 });
};
hub.on("connect", announce("joined"));
hub.on("disconnect", announce("left"));

server.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(`Chat is listening on http://127.0.0.1:${port}

Open it in two tabs, join under two names, and talk to yourself.`);
});
