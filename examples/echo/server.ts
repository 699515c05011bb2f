import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Belfry } from "belfry";

const server = createServer((_request, response) => {
  response.end("This server speaks WebSocket at /ws.\n");
});

// Belfry lives in a server that is already there: it takes the upgrades to /ws and leaves everything else alone.
await Belfry.start({
  server,
  logLevel: "warn",
  async onMessage({ event, data }, { user }, hub) {
    if (user !== null) await hub.broadcastUser(user, data, { event });
  },
});

server.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(`Echo is listening on http://127.0.0.1:${port}

Open that page in a browser, and in its console (F12) say:

  ws = new WebSocket("ws://127.0.0.1:${port}/ws", "alice")
  ws.onmessage = ({ data }) => console.log(data)
  ws.send('{"type":"message","event":"hello","data":{"from":"the console"}}')

Do the same in a second tab: what alice says in one tab arrives in both.`);
});
