import { connect, type Socket } from "node:net";
import type { Case } from "./case.ts";
import type { Pulse } from "./pulse.ts";

/** Questions that the service must have answered since the last byte before a case counts as quiet. */
const quietBeats = 2;

/** Longest wait for what must come: an answer, or the service's end of a connection, in ms. */
const patienceMs = 30_000;

/** How an exchange went. */
export interface Exchange {
  readonly received: Buffer;
  /** What did not come although it must; undefined: nothing. */
  readonly missing: string | undefined;
}

/** Sends a case over a socket of its own and takes what comes back. The socket is gone when it resolves. */
export function exchange(port: number, input: Case, pulse: Pulse): Promise<Exchange> {
  const { ending, isAnswered } = input;
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  const received: Buffer[] = [];
  let isSent = false;
  let stopWaiting = () => {};
  const finish = (missing?: string) => {
    clearTimeout(patience);
    stopWaiting();
    if (!socket.destroyed) socket.resetAndDestroy();
    resolve({ received: Buffer.concat(received), missing });
  };
  const patience = setTimeout(
    () => finish(ending === "end" ? "the connection was not ended" : "no answer came"),
    patienceMs,
  );
  const listenUntilQuiet = () => {
    stopWaiting();
    const isOwed = ending === "end" || (isAnswered && received.length === 0);
    if (isSent && !isOwed) stopWaiting = pulse.after(quietBeats, finish);
  };
  const allSent = () => {
    isSent = true;
    if (ending === "reset") {
      finish();
      return;
    }
    if (ending === "end") socket.end();
    listenUntilQuiet();
  };
  socket.on("data", (chunk) => {
    received.push(chunk);
    listenUntilQuiet();
  });
  socket.on("error", () => {});
  socket.on("end", () => finish());
  socket.on("close", () => finish());
  socket.on("connect", () => send(socket, input, allSent));
  return promise;
}

/** Writes one chunk after the other; `onSent` is not called when the connection ends before. */
function send(socket: Socket, { chunks, isUpgradeAwaited }: Case, onSent: () => void): void {
  const rest = [...chunks];
  const next = () => {
    const chunk = rest.shift();
    if (socket.destroyed || !socket.writable) return;
    if (!chunk) {
      onSent();
      return;
    }
    const isHeld = isUpgradeAwaited && rest.length === chunks.length - 1;
    socket.write(chunk, () => (isHeld ? socket.once("data", next) : setImmediate(next)));
  };
  next();
}
