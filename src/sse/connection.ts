import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { ClientConnection, type ConnectionContext } from "../client-connection.ts";
import type { Credentials } from "../credentials.ts";
import type { Occupant } from "../entrance.ts";
import type { Welcome } from "../hub/connection.ts";
import { type Delivery, pieceOf } from "../hub/delivery.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import { formatId, type Position, parseId } from "../protocol/positions.ts";
import { broadcastStream, topicStream, userStream } from "../protocol/streams.ts";
import { closeEvent, frameData, idLine, messageData, pingComment, retryLine } from "./event.ts";
import { ResponseOutlet } from "./response-outlet.ts";
import { digestOf, isSecret, newSecret } from "./secret.ts";

/** What the connections of one service share. */
export interface SseContext extends ConnectionContext {
  /** How long what is sent may stand still because the client does not read, in ms; default 2 minutes, and two pings at least. */
  readonly stallTimeoutMs?: number;
  /** Its socket has closed; called once. */
  readonly onClosed: (connection: SseConnection) => void;
}

const defaultStallTimeoutMs = 120_000;

/** How long a client may take to read to the end of a stream that is closed, in ms. */
const closeTimeoutMs = 10_000;

/** Suggested pause before a client comes back, in ms; each is told another, so that they do not come together. */
const retryMs = { min: 1000, max: 3000 };

/** One stream of events, from its registration to its end. */
export class SseConnection extends ClientConnection implements Occupant {
  readonly transport = "sse";
  /** Nothing comes from the client but by requests of their own, and pings have no answer. */
  readonly lastSeenMs = Number.POSITIVE_INFINITY;
  readonly #response: ServerResponse;
  /** The id to resume from in each stream, by the streams' keys. */
  readonly #positions = new Map<string, string>();
  /** Ids that the client came with, of topics that it is not yet subscribed to again, by their epochs. */
  readonly #carried = new Map<string, string>();
  #secretDigest: Buffer | undefined;
  #cut: NodeJS.Timeout | undefined;

  /** @param response its head is written, and nothing of its body */
  constructor(response: ServerResponse, socket: Socket, credentials: Credentials, remote: string, context: SseContext) {
    super(new ResponseOutlet(response, socket), credentials, remote, context);
    const { pingIntervalMs, stallTimeoutMs = Math.max(defaultStallTimeoutMs, 2 * pingIntervalMs) } = context;
    this.#response = response;
    response.setTimeout(stallTimeoutMs, () => this.terminate());
    response.on("close", () => {
      clearTimeout(this.#cut);
      this.end("client");
      context.onClosed(this);
    });
    // To a client that has just gone there may be a write before it is known.
    response.on("error", () => {});
  }

  welcome(welcome: Welcome): void {
    const { positions } = welcome;
    const secret = newSecret(this.user);
    this.#secretDigest = digestOf(secret);
    this.#positions.set(broadcastStream.key, positions.broadcast);
    if (this.user !== null) this.#positions.set(userStream(this.user).key, positions.user ?? "");
    const pauseMs = retryMs.min + Math.random() * (retryMs.max - retryMs.min);
    this.#send(retryLine(pauseMs) + this.#idLine() + frameData({ ...this.welcomeFrame(welcome), secret }));
  }

  send(frame: ServerFrame): void {
    if (frame.type === "subscribed") {
      this.#positions.set(topicStream(frame.topic).key, frame.position);
      this.#carried.delete(parseId(frame.position)?.epoch ?? "");
    }
    if (frame.type === "unsubscribed") this.#positions.delete(topicStream(frame.topic).key);
    this.#send(this.#idLine() + frameData(frame));
  }

  deliver(delivery: Delivery): boolean {
    if (this.gone) return false;
    const data = delivery.encodedBy(messageData);
    const events = delivery.messages.map(({ stream, position, id }, index) => {
      if (position) this.#positions.set(stream.key, id);
      return Buffer.concat([Buffer.from(this.#idLine()), data[index] ?? Buffer.alloc(0)]);
    });
    if (this.writeNow(Buffer.concat(events))) return true;
    return this.queue(events.map((event, index) => pieceOf(event, delivery.messages[index])));
  }

  /** Says what the client has of topics: it is told it again with each event until it is subscribed to them, or {@link settle}. */
  carry(positions: readonly Position[]): void {
    for (const position of positions) this.#carried.set(position.epoch, formatId("topic", position));
  }

  /** The client is subscribed to all that it has asked for: other positions that it came with are of no use any more. */
  settle(): void {
    this.#carried.clear();
  }

  pace(delivery: Delivery): Promise<void> | undefined {
    return this.paceOf(delivery.encodedBy(messageData).reduce((sum, { length }) => sum + length, 0));
  }

  ping(): void {
    // What waits says as much, and must not grow by pings.
    if (this.isIdle) this.#send(pingComment);
  }

  terminate(): void {
    this.end("heartbeat");
    this.#response.destroy();
  }

  /** Whether a secret is this connection's own. */
  hasSecret(secret: string): boolean {
    return this.#secretDigest !== undefined && isSecret(secret, this.#secretDigest);
  }

  /**
   * Takes a frame of the client's.
   *
   * @returns 0, or, when there are too many, the ms after which it may be sent again
   */
  receive(frame: string): number {
    const waitMs = this.intake.count(performance.now());
    if (waitMs === 0) this.intake.take(frame);
    return waitMs;
  }

  protected hangUp(code: number, reason: string): void {
    this.#response.end(closeEvent(code, reason));
    this.#cut = setTimeout(() => this.terminate(), closeTimeoutMs);
  }

  #idLine(): string {
    return idLine([...this.#positions.values(), ...this.#carried.values()]);
  }

  #send(events: string): void {
    this.write(Buffer.from(events));
  }
}
