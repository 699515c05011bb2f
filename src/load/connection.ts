import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { type HandshakeRequest, handshakeRequest, readHandshake } from "./handshake.ts";
import type { Tally } from "./tally.ts";

/** What all connections read into: a read is done with before the next one begins. */
const readBuffer = Buffer.allocUnsafe(256 * 1024);

/** Most bytes of an answer to a handshake. */
const maxHeadBytes = 16 * 1024;

const opcodes = { text: 1, close: 8, ping: 9, pong: 10 } as const;

/** How one connection is made. */
export interface ConnectionPlan extends HandshakeRequest {
  /** Text frames sent once it is open. */
  readonly hello: readonly string[];
  /** Messages with which the server begins; it is ready, and counts, after them. */
  readonly greetings: number;
}

/** A WebSocket that counts messages without looking into them. */
export class Connection {
  /** Close code once the server has closed it: 1005 without one, 1006 without a close frame; undefined while it is open. */
  closeCode: number | undefined;
  /** True when the server compresses. */
  compression = false;
  readonly #plan: ConnectionPlan;
  readonly #tally: Tally;
  readonly #socket: Socket;
  /** Resolves when it is open and the server has greeted; rejects when that does not come about. */
  readonly ready: Promise<void>;
  /** Messages that do not count: greetings, and those before the last reset. */
  #before: number;
  #messages = 0;
  #isOpen = false;
  #awaited = Promise.withResolvers<void>();
  /** Number of messages with which that is there; Infinity: it is, and nothing is awaited. */
  #awaitedAt: number;
  #isLeft = false;
  /** Bytes of the message under way that did not come yet, and whether it counts when they have. */
  #missing = 0;
  #endsMessage = 0;
  /** A handshake, header or control frame of which the rest did not come yet. */
  #rest: Buffer | undefined;

  constructor(plan: ConnectionPlan, tally: Tally) {
    this.#plan = plan;
    this.#tally = tally;
    this.#before = this.#awaitedAt = plan.greetings;
    this.ready = this.#awaited.promise;
    const onread = {
      buffer: readBuffer,
      callback: (length: number): boolean => {
        this.#read(length);
        return true;
      },
    };
    this.#socket = connect({ host: plan.endpoint.address, port: plan.endpoint.port, noDelay: true, onread });
    this.#socket.write(handshakeRequest(plan));
    this.#socket.on("error", () => {});
    this.#socket.on("end", () => this.#socket.destroy());
    this.#socket.on("close", () => this.#closed());
  }

  /** Messages since the greetings or the last reset. */
  get messages(): number {
    return Math.max(0, this.#messages - this.#before);
  }

  /** Sends texts, and resolves when the server has sent as many messages since. One call at a time, and not before it is ready. */
  ask(texts: readonly string[]): Promise<void> {
    this.#awaited = Promise.withResolvers();
    this.#awaitedAt = this.#messages + texts.length;
    this.#sendAll(texts);
    return this.#awaited.promise;
  }

  /** Forgets the messages so far. */
  reset(): void {
    this.#before = this.#messages;
  }

  /** Reads nothing more from the socket. */
  pause(): void {
    this.#socket.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#socket.resume();
  }

  /** Leaves, without a close handshake: thousands of sockets would wait for the last packet of it. */
  leave(): void {
    this.#isLeft = true;
    this.#socket.resetAndDestroy();
  }

  #read(length: number): void {
    let bytes = readBuffer;
    let end = length;
    if (this.#rest) {
      bytes = Buffer.concat([this.#rest, readBuffer.subarray(0, length)]);
      end = bytes.length;
      this.#rest = undefined;
    }
    this.#tally.read(length);
    let from = 0;
    if (!this.#isOpen) {
      const open = this.#readHead(bytes, end);
      if (open === undefined) return;
      from = open;
    }
    const before = this.messages;
    const read = this.#readFrames(bytes, from, end);
    if (read < end) this.#rest = Buffer.from(bytes.subarray(read, end));
    this.#tally.count(this.messages - before);
    if (this.#messages < this.#awaitedAt) return;
    this.#awaitedAt = Number.POSITIVE_INFINITY;
    this.#awaited.resolve();
  }

  /** Reads the answer to the handshake and returns where it ends; undefined when it is not all there, or refuses. */
  #readHead(bytes: Buffer, end: number): number | undefined {
    const head = bytes.indexOf("\r\n\r\n");
    if (head === -1 || head >= end) {
      if (end > maxHeadBytes) this.#fail(new Error("the server's answer to the handshake is too long"));
      else this.#rest = Buffer.from(bytes.subarray(0, end));
      return undefined;
    }
    try {
      this.compression = readHandshake(bytes.toString("latin1", 0, head)).compression;
    } catch (error) {
      this.#fail(error as Error);
      return undefined;
    }
    this.#isOpen = true;
    this.#sendAll(this.#plan.hello);
    return head + 4;
  }

  /**
   * Reads frames and returns where it came to: before the end only where a header or a control frame is cut. This runs
   * millions of times a second and looks at headers only.
   */
  #readFrames(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.#missing > 0) {
      const taken = Math.min(this.#missing, end - at);
      at += taken;
      this.#missing -= taken;
      if (this.#missing > 0) return at;
      this.#messages += this.#endsMessage;
    }
    while (at + 2 <= end) {
      const first = bytes[at] as number;
      let size = (bytes[at + 1] as number) & 127;
      let payload = at + 2;
      if (size === 126) {
        if (at + 4 > end) return at;
        size = bytes.readUInt16BE(payload);
        payload += 2;
      } else if (size === 127) {
        if (at + 10 > end) return at;
        size = bytes.readUInt32BE(payload) * 2 ** 32 + bytes.readUInt32BE(payload + 4);
        payload += 8;
      }
      const next = payload + size;
      if ((first & 8) !== 0) {
        if (next > end) return at;
        this.#control(first & 15, bytes.subarray(payload, next));
      } else {
        if (--this.#tally.untilSample <= 0)
          this.#tally.sample(bytes, payload, Math.min(next, end), next <= end, (first & 64) !== 0);
        this.#endsMessage = first >> 7;
        if (next > end) {
          this.#missing = next - end;
          return end;
        }
        this.#messages += this.#endsMessage;
      }
      at = next;
    }
    return at;
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === opcodes.ping) {
      this.#tally.pings++;
      this.#send(opcodes.pong, payload);
    } else if (opcode === opcodes.close) {
      this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#send(opcodes.close, payload.subarray(0, 2));
      this.#socket.end();
    }
  }

  #sendAll(texts: readonly string[]): void {
    this.#socket.cork();
    for (const text of texts) this.#send(opcodes.text, Buffer.from(text));
    this.#socket.uncork();
  }

  #send(opcode: number, payload: Buffer): void {
    // RFC 6455 section 5.3: what a client sends is masked.
    const mask = randomBytes(4);
    const masked = payload.map((byte, i) => byte ^ (mask[i % 4] as number));
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, masked]));
  }

  #fail(error: Error): void {
    this.#awaited.reject(error);
    this.#socket.destroy();
  }

  #closed(): void {
    if (this.#isLeft) return;
    this.closeCode ??= 1006;
    this.#awaited.reject(
      this.#socket.errored ?? new Error(`the server closed a new connection with ${this.closeCode}`),
    );
  }
}
