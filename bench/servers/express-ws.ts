import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { type WebSocket, WebSocketServer } from "ws";

// Messages to one user as they are usually written: an express handler, and a Map of users to their sockets.

const users = new Map<string, Set<WebSocket>>();

const app = express();
app.disable("x-powered-by");
app.use(express.json());
app.post("/users/:id/messages", (request, response) => {
  const sockets = users.get(request.params.id) ?? new Set();
  const text = JSON.stringify(request.body);
  for (const socket of sockets) socket.send(text);
  response.status(202).json({ receivers: sockets.size });
});

const server = createServer(app);
new WebSocketServer({ server }).on("connection", (socket, request) => {
  const user = new URL(request.url ?? "/", "http://localhost").searchParams.get("user") ?? "";
  const sockets = users.get(user) ?? new Set();
  users.set(user, sockets.add(socket));
  socket.on("error", () => {});
  socket.on("close", () => {
    sockets.delete(socket);
    if (sockets.size === 0) users.delete(user);
  });
});

server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })));
