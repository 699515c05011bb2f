import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import type { Message } from "../../src/broker/broker.ts";
import { Delivery } from "../../src/hub/delivery.ts";
import type { ErrorFrame } from "../../src/protocol/frames.ts";
import { broadcastStream, topicStream, userStream } from "../../src/protocol/streams.ts";
import { type ConnectionSocket, WsConnection } from "../../src/ws/connection.ts";
import { jsonFrame, messageFrames } from "../../src/ws/frame.ts";
import { liveMessage } from "../support/fake-broker.ts";
import { jsonOfFrames, SlowOutlet } from "../support/slow-outlet.ts";
import { step } from "../support/step.ts";

const streams = [broadcastStream, userStream("alice"), topicStream("orders")];

/** Messages of one stream, delivered at once. */
interface Given {
  readonly stream: number;
  readonly sizes: readonly number[];
  readonly collapse: string | undefined;
  readonly ttlMs: number | undefined;
}

const deliveries: fc.Arbitrary<Given> = fc.record({
  stream: fc.nat(2),
  sizes: fc.array(fc.nat(300), { minLength: 1, maxLength: 5 }),
  collapse: fc.option(fc.constantFrom("a", "b"), { nil: undefined }),
  ttlMs: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
});

const steps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("deliver" as const), given: deliveries }) },
    step(2, "send"),
    step(3, "take"),
    step(1, "take all"),
    step(2, "wait", fc.integer({ min: 1, max: 3 })),
  ),
  { maxLength: 80 },
);

/** A message and its place among all frames that were sent. */
interface Sent {
  readonly place: number;
  readonly message: Message;
}

const errorFrame = (ref: number): ErrorFrame => ({ type: "error", code: "unsupported", detail: "", ref });
const numbers = (chunks: Buffer[]) => jsonOfFrames(Buffer.concat(chunks)).map(({ place, ref }) => Number(place ?? ref));

/** A connection to a client that reads when it is told, and everything that was sent to it. */
class SlowClient {
  readonly outlet = new SlowOutlet();
  readonly connection: WsConnection;
  readonly sent: Sent[] = [];
  /** Places of frames that are no messages. */
  readonly others: number[] = [];
  readonly onDropped = vi.fn<() => void>();
  readonly #write = vi.spyOn(this.outlet, "write");
  #places = 0;

  constructor(sendBufferBytes: number) {
    const limits = { sendBufferBytes, maxClientFramesPerSecond: 50, pingIntervalMs: 25_000 };
    const context = { ...limits, onDropped: this.onDropped, onGone: () => {}, onFrame: async () => undefined };
    const ws = Object.assign(new EventEmitter(), { extensions: "", close: () => {} }) as unknown as ConnectionSocket;
    this.connection = new WsConnection(ws, this.outlet as unknown as Duplex, { user: "alice" }, "192.0.2.1", context);
  }

  deliver({ stream, sizes, collapse, ttlMs }: Given): void {
    const delivered = sizes.map((size, n): Sent => {
      const place = ++this.#places;
      const body = Buffer.from(`"place":${place},"data":"${"x".repeat(size)}"}`);
      // The options hold for every other message.
      const options = n % 2 === 0 ? { collapse, expiresAtMs: ttlMs === undefined ? 0 : Date.now() + ttlMs } : {};
      return { place, message: { ...liveMessage(streams[stream] ?? broadcastStream), body, ...options } };
    });
    this.sent.push(...delivered);
    this.connection.deliver(new Delivery(delivered.map(({ message }) => message)));
  }

  send(): void {
    this.others.push(++this.#places);
    this.connection.send(errorFrame(this.#places));
  }

  /** Places of all that came, in order. */
  get received(): number[] {
    return numbers(this.outlet.taken);
  }

  /** Bytes of what waits and cannot be dropped. */
  get waitingBytes(): number {
    const written = new Set(numbers(this.#write.mock.calls.map(([chunk]) => chunk)));
    const messages = this.sent.filter((sent) => !written.has(sent.place) && this.matters(sent));
    const others = this.others.filter((place) => !written.has(place)).map((place) => jsonFrame(errorFrame(place)));
    const frames = [messageFrames(messages.map(({ message }) => message)), ...others];
    return this.outlet.writableLength + Buffer.concat(frames).length;
  }

  /** False when it has expired, or a newer one of the stream has its collapse key. */
  matters({ place, message: { stream, collapse, expiresAtMs } }: Sent): boolean {
    if (expiresAtMs > 0 && expiresAtMs <= Date.now()) return false;
    const replaces = (other: Sent) => other.message.stream === stream && other.message.collapse === collapse;
    return collapse === undefined || !this.sent.some((other) => other.place > place && replaces(other));
  }
}

it("everything that still matters comes once and in order, and no more waits than fits", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 5000 }), async (plan, sendBufferBytes) => {
      let nowMs = 1000;
      vi.spyOn(Date, "now").mockImplementation(() => nowMs);
      const client = new SlowClient(sendBufferBytes);
      const { outlet, connection, sent, others } = client;
      for (const given of plan) {
        if (given.kind === "deliver") client.deliver(given.given);
        else if (given.kind === "send") client.send();
        else if (given.kind === "take") await outlet.take();
        else if (given.kind === "take all") await outlet.takeAll();
        else nowMs += given.count;
        if (connection.gone) break;
      }
      const isSlow = connection.gone;
      if (isSlow) expect(client.waitingBytes).toBeGreaterThan(sendBufferBytes);
      const ahead = outlet.writableLength;
      // Now everything that waits goes to the outlet.
      connection.close("going_away", "0");
      if (outlet.writableLength > ahead) expect(outlet.writableLength).toBeLessThanOrEqual(sendBufferBytes);
      await outlet.takeAll();
      const { received } = client;
      const end = isSlow ? (received.at(-1) ?? 0) : Number.POSITIVE_INFINITY;
      const owed = [...sent.filter((one) => client.matters(one)).map(({ place }) => place), ...others];
      expect(received).toEqual([...new Set(received)].sort((a, b) => a - b));
      expect(received).toEqual(expect.arrayContaining(owed.filter((place) => place <= end)));
      if (!isSlow) expect(client.onDropped).toHaveBeenCalledTimes(sent.length + others.length - received.length);
    }),
    { numRuns: 500 },
  );
});
