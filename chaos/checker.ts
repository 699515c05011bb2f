import { parseId } from "../src/protocol/positions.ts";
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

/** A stream: what was published, and how far each client is; undefined: it takes part, and was never welcomed. */
interface Stream {
  readonly published: Published;
  readonly clients: Map<string, Progress | undefined>;
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

  /** A client takes part: in the end it must have seen all of these streams behind its first positions. */
  join(client: string, streams: readonly string[]): void {
    for (const stream of streams) this.#stream(stream).clients.set(client, undefined);
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
    const { published, clients } = this.#stream(stream);
    const position = parseId(id);
    if (!position) {
      this.violate({ kind: "protocol", client, stream, detail: `welcomed at ${id}` });
      return;
    }
    published.enter(position.epoch);
    const progress = clients.get(client);
    const asked = since === undefined ? undefined : parseId(since);
    if (progress && asked) {
      progress.resume({ asked, position, recovered });
      return;
    }
    progress?.finish();
    const report = (violation: Violation) => this.violate(violation);
    const warn = (warning: Violation) => void this.#warnings.push(warning);
    clients.set(client, new Progress(position, { client, stream, report, warn }));
  }

  /** A client was given a message. */
  delivered(client: string, stream: string, id: string, key: string): void {
    this.deliveries++;
    const position = parseId(id);
    const known = this.#streams.get(stream);
    const progress = known?.clients.get(client);
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

  /** Pairs of client and stream that have not seen the newest known message yet. */
  get behind(): number {
    let behind = 0;
    for (const { published, clients } of this.#streams.values()) {
      const { newest } = published;
      for (const progress of clients.values()) if (!progress?.has(newest)) behind++;
    }
    return behind;
  }

  /** Reports what only shows at the end: what is still missing. Call it once. */
  finish(): void {
    for (const [stream, { published, clients }] of this.#streams) {
      for (const [client, progress] of clients) {
        if (progress) progress.finish(published.newest);
        else this.violate({ kind: "loss", client, stream, detail: "was never welcomed" });
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

  #stream(name: string): Stream {
    let stream = this.#streams.get(name);
    if (!stream) {
      const report = (violation: Violation) => this.violate(violation);
      stream = { published: new Published({ stream: name, report, flushes: () => this.#flushes }), clients: new Map() };
      this.#streams.set(name, stream);
    }
    return stream;
  }
}
