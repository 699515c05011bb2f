import { once } from "node:events";
import { connect } from "node:net";
import { onTestFinished } from "vitest";

/** Sends text over TCP and reads until the server ends. */
export async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk;
  });
  socket.on("error", () => {});
  socket.write(text);
  await once(socket, "close");
  return answer;
}

/**
 * Connects, sends `head`, and then `drip` over and over, with pauses.
 *
 * @returns how long it took the server to end the connection, in ms
 */
export async function dripping(port: number, head: string | Buffer = "", drip = ""): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {}).resume();
  const start = performance.now();
  if (head.length > 0) socket.write(head);
  const dripper = setInterval(() => drip && socket.write(drip), 20);
  // Not `once`, which takes a reset for a failure.
  await new Promise((resolve) => socket.on("close", resolve));
  clearInterval(dripper);
  return performance.now() - start;
}
