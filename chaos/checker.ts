import { type Position, parseId } from "../src/protocol/positions.ts";
import { Progress } from "./progress.ts";
import { Published, type Stored } from "./published.ts";
import type { Violation } from "./violation.ts";

/** What a welcome frame says about one stream. */
export interface StreamWelcome {
  /** The id that the client asked to resume from; undefined on its first connection. */
  readonly since: string | undefined;
  readonly position: string;
  readonly recovered: boolean | undefined;
}

/** What a `subscribed` frame says. */
export interface TopicWelcome extends StreamWelcome {
  /** The client did not ask for it: its user is subscribed by the service, and `since` stood in the URL. */
  readonly isByService: boolean;
}

/** A stream: what was published, and how far each client is. */
interface Stream {
  readonly published: Published;
  readonly clients: Map<string, Progress>;
  /** Those who must be in it in the end, and have everything behind where they began. */
  readonly expected: Set<string>;
}

/**
 * Compares what publishers were promised with what clients saw. Pure: it is told events and knows no socket and no clock.
 * History must be large enough that nothing is trimmed: then all that a client may miss is what a flush took away.
 */
export class Checker {
  readonly #streams = new Map<string, Stream>();
  readonly #violations: Violation[] = [];
  readonly #warnings: Violation[] = [];
  #flushes = 0;
  /** Messages that were given to clients. */
  deliveries = 0;

  /**
   * In the end a client must have seen all of these streams behind where it began. Nobody else may be in a topic by then.
   */
  expect(client: string, streams: readonly string[]): void {
    for (const stream of streams) this.#stream(stream).expected.add(client);
  }

  /** All that was stored is about to be deleted on purpose: each stream may begin one more epoch. */
  flushed(): void {
    this.#flushes++;
  }

  /** How often everything was deleted so far; a publisher notes it before it sends. */
  get flushes(): number {
    return this.#flushes;
  }

  /**
   * A publish was answered with 202.
   *
   * @param flushes what {@link flushes} said before the request that was answered was sent
   */
  published(stream: string, id: string, key: string, flushes: number): void {
    this.#stream(stream).published.accept(id, key, flushes);
  }

  /** A client was welcomed: `welcome` is what the frame says about one stream. */
  welcomed(client: string, stream: string, { since, position: id, recovered }: StreamWelcome): void {
    const position = this.#enter(client, stream, id);
    if (position) this.#begin(client, stream, position, since, recovered);
  }

  /** A client was subscribed to a topic, or told again that it is. */
  subscribed(client: string, stream: string, { since, position: id, recovered, isByService }: TopicWelcome): void {
    const position = this.#enter(client, stream, id);
    if (!position) return;
    const progress = this.#stream(stream).clients.get(client);
    if (progress?.isOpen) {
      if (recovered !== undefined) {
        this.violate({ kind: "subscription", client, stream, detail: "resumed where it was subscribed already" });
      }
      progress.locate(position);
      return;
    }
    // By its epoch it is known which topic an id in the URL belongs to: that of another life belongs to none.
    const isUnknown = isByService && recovered === undefined && since && parseId(since)?.epoch !== position.epoch;
    this.#begin(client, stream, position, isUnknown ? undefined : since, recovered);
  }

  /** A client was told that it is not subscribed to a topic any more. */
  unsubscribed(client: string, stream: string): void {
    const progress = this.#stream(stream).clients.get(client);
    if (progress) progress.isOpen = false;
  }

  /** A connection has ended, and its subscriptions to topics with it. */
  disconnected(client: string): void {
    for (const [stream, { clients }] of this.#streams) {
      const progress = clients.get(client);
      if (progress && isTopic(stream)) progress.isOpen = false;
    }
  }

  /** Clients that are subscribed to a topic at this moment. */
  subscribersOf(stream: string): string[] {
    return [...this.#stream(stream).clients].filter(([, { isOpen }]) => isOpen).map(([client]) => client);
  }

  /** A client was given a message. */
  delivered(client: string, stream: string, id: string, key: string): void {
    this.deliveries++;
    const position = parseId(id);
    const known = this.#streams.get(stream);
    const progress = known?.clients.get(client);
    if (isTopic(stream) && !progress?.isOpen) {
      this.violate({ kind: "foreign", client, stream, detail: `${id}, and it is not subscribed` });
      return;
    }
    if (!position || !progress) {
      this.violate({ kind: "protocol", client, stream, detail: `${id} before a welcome, or without a position` });
      return;
    }
    known?.published.note(position, key);
    progress.take(position);
  }

  /** The whole history of a stream, read when everything is over. */
  stored(stream: string, epoch: string, messages: readonly Stored[]): void {
    this.#stream(stream).published.store(epoch, messages);
  }

  /** Pairs of client and stream that have not seen the newest known message yet, or are in a topic and should not be. */
  get behind(): number {
    let behind = 0;
    for (const { published, clients, expected } of this.#streams.values()) {
      const { newest } = published;
      for (const client of expected) {
        const progress = clients.get(client);
        if (!progress?.isOpen || !progress.has(newest)) behind++;
      }
      for (const [client, { isOpen }] of clients) if (isOpen && !expected.has(client)) behind++;
    }
    return behind;
  }

  /** Reports what only shows at the end: what is still missing. Call it once. */
  finish(): void {
    for (const [stream, { published, clients, expected }] of this.#streams) {
      for (const client of expected) {
        if (clients.get(client)?.isOpen) continue;
        const kind = isTopic(stream) ? "subscription" : "loss";
        this.violate({ kind, client, stream, detail: isTopic(stream) ? "is not in it" : "was never welcomed" });
      }
      for (const [client, progress] of clients) {
        const { isOpen } = progress;
        progress.finish(isOpen ? published.newest : undefined);
        if (!isOpen || expected.has(client)) continue;
        this.violate({ kind: "subscription", client, stream, detail: "is in it, and should not be" });
      }
      published.finish();
    }
  }

  /** Adds a violation that somebody else found. */
  violate(violation: Violation): void {
    this.#violations.push(violation);
  }

  /** Everything found so far. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  /** What is no broken promise, and still should not happen. */
  get warnings(): readonly Violation[] {
    return this.#warnings;
  }

  /** A client was told that it is somewhere in a stream. */
  #enter(client: string, stream: string, id: string): Position | undefined {
    const position = parseId(id);
    if (position) this.#stream(stream).published.enter(position.epoch);
    else this.violate({ kind: "protocol", client, stream, detail: `was put at ${id}` });
    return position;
  }

  #begin(
    client: string,
    stream: string,
    position: Position,
    since: string | undefined,
    recovered: boolean | undefined,
  ): void {
    const { clients } = this.#stream(stream);
    const progress = clients.get(client);
    const asked = since === undefined ? undefined : parseId(since);
    if (progress && asked) {
      progress.isOpen = true;
      progress.resume({ asked, position, recovered });
      return;
    }
    progress?.finish();
    const report = (violation: Violation) => this.violate(violation);
    const warn = (warning: Violation) => void this.#warnings.push(warning);
    clients.set(client, new Progress(position, { client, stream, report, warn }));
  }

  #stream(name: string): Stream {
    let stream = this.#streams.get(name);
    if (!stream) {
      const report = (violation: Violation) => this.violate(violation);
      const published = new Published({ stream: name, report, flushes: () => this.#flushes });
      stream = { published, clients: new Map(), expected: new Set() };
      this.#streams.set(name, stream);
    }
    return stream;
  }
}

function isTopic(stream: string): boolean {
  return stream.startsWith("topic:");
}
