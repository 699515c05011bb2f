import uws from "@trufflesuite/uws-js-unofficial";

// uWebSockets.js as its examples use it. It answers before anything is written.
// DEFER=true: publishes from the next turn of the event loop, so that it writes what several requests brought together.
// DEFLATE=true: its shared compressor.

if (uws.SHARED_COMPRESSOR === undefined) throw new Error("the native part of uWebSockets.js does not load here");

const everyone = "everyone";
const defer = process.env.DEFER === "true";
const compress = process.env.DEFLATE === "true";
const users = new Map();

const app = uws.App();
app.ws("/*", {
  compression: compress ? uws.SHARED_COMPRESSOR : uws.DISABLED,
  // As much as Belfry lets wait for a client, and then the same: the client is closed.
  maxBackpressure: 1024 * 1024,
  closeOnBackpressureLimit: true,
  upgrade: (response, request, context) => {
    const user = request.getQuery("user") ?? "";
    const [key, protocol, extensions] = ["key", "protocol", "extensions"].map((name) =>
      request.getHeader(`sec-websocket-${name}`),
    );
    response.upgrade({ user }, key, protocol, extensions, context);
  },
  open: (socket) => {
    socket.subscribe(everyone);
    const sockets = users.get(socket.user) ?? new Set();
    users.set(socket.user, sockets.add(socket));
  },
  close: (socket) => {
    const sockets = users.get(socket.user);
    sockets?.delete(socket);
    if (sockets?.size === 0) users.delete(socket.user);
  },
});

app.post("/broadcast", (response) => {
  readBody(response, (body) => {
    if (defer) setImmediate(() => app.publish(everyone, body, false, compress));
    else app.publish(everyone, body, false, compress);
    answer(response, "202 Accepted", '{"ok":true}');
  });
});

app.post("/users/:id/messages", (response, request) => {
  const user = request.getParameter(0);
  readBody(response, (body) => {
    const sockets = users.get(user) ?? new Set();
    for (const socket of sockets) socket.send(body, false, compress);
    answer(response, "202 Accepted", `{"receivers":${sockets.size}}`);
  });
});

app.get("/*", (response) => answer(response, "200 OK", '{"ok":true}'));

function readBody(response, done) {
  let body = "";
  response.onAborted(() => {});
  response.onData((chunk, isLast) => {
    body += Buffer.from(chunk).toString();
    if (isLast) done(body);
  });
}

function answer(response, status, text) {
  response.writeStatus(status).writeHeader("Content-Type", "application/json").end(text);
}

app.listen("127.0.0.1", 0, (listening) => console.log(JSON.stringify({ port: uws.us_socket_local_port(listening) })));
