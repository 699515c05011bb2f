import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { Listener } from "../../src/http/listener.ts";

/** Connections that wait in the system when the listener has its first turn. */
const waiting = 64;

it.runIf(process.platform === "linux")("takes many connections in one turn of the event loop", async () => {
  const listener = new Listener({ handshakeTimeoutMs: 5000, onRequest: (_, response) => response.end() });
  const port = await listener.listen(0, "127.0.0.1");
  onTestFinished(() => listener.close(0));
  const sockets = Array.from({ length: waiting }, () => connect(port, "127.0.0.1"));
  onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));

  let turns = 0;
  // Each is answered once it was taken.
  const answers = Promise.all(
    sockets.map((socket) => {
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      return once(socket, "data");
    }),
  );
  let answered = false;
  void answers.then(() => {
    answered = true;
  });
  while (!answered) {
    await turn();
    turns++;
  }
  expect(turns).toBeLessThan(waiting / 2);
});

it("cuts a connection that does not read its answer", async () => {
  const cut = Promise.withResolvers<boolean>();
  const listener = new Listener({
    handshakeTimeoutMs: 5000,
    stallTimeoutMs: 300,
    onRequest: (_, response) => {
      response.on("close", () => cut.resolve(response.writableFinished));
      response.end(Buffer.alloc(50 * 1024 * 1024));
    },
  });
  const port = await listener.listen(0, "127.0.0.1");
  onTestFinished(() => listener.close(0));
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  onTestFinished(() => void socket.destroy());
  socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await cut.promise).toBe(false);
});
