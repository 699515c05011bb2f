import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

// What is written in an afternoon with ws and node:http: a Set of clients, and a loop. It answers behind the loop.
// DEFLATE=true: permessage-deflate without context takeover, which ws does for each client anew.

const server = createServer((request, response) => {
  if (request.method !== "POST") return answer(response, 200, { ok: true });
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text: string) => {
    body += text;
  });
  request.on("end", () => {
    for (const client of clients) client.send(body);
    answer(response, 202, { receivers: clients.size });
  });
});

function answer(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

const clients = new Set<WebSocket>();
const perMessageDeflate = process.env["DEFLATE"] === "true" && {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  threshold: 0,
};
const sockets = new WebSocketServer({ server, perMessageDeflate });
sockets.on("connection", (client) => {
  clients.add(client);
  client.on("error", () => {});
  client.on("close", () => clients.delete(client));
});

server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })));
