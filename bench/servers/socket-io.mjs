import { createServer } from "node:http";
import { Server } from "socket.io";

// Socket.IO as its documentation shows it, WebSocket only: io.emit for everyone, a room for each user.

const server = createServer((request, response) => {
  if (request.method !== "POST") return answer(response, 200, { ok: true });
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text) => {
    body += text;
  });
  request.on("end", () => {
    const { data } = JSON.parse(body);
    const user = /^\/users\/([^/]+)\/messages$/.exec(request.url)?.[1];
    (user === undefined ? io : io.to(user)).emit("message", data);
    answer(response, 202, { ok: true });
  });
});

function answer(response, status, value) {
  const text = JSON.stringify(value);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

// The load does not answer the heartbeat of Engine.IO, which is a message: so there is none during a run.
const io = new Server(server, { transports: ["websocket"], serveClient: false, pingInterval: 600_000 });
io.on("connection", (socket) => socket.join(socket.handshake.query.user));

server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
