import type { Broker, HistoryPage, Publication } from "../broker/broker.ts";
import { BelfryError } from "../errors.ts";
import { formatLiveId, newEpoch, type Position } from "../protocol/positions.ts";
import type { Scope, Stream } from "../protocol/streams.ts";
import { type MessageDraft, toPublication } from "./messages.ts";
import { countConnections, type SubscribedStream } from "./subscribed-stream.ts";
import type { SubscribedStreams } from "./subscribed-streams.ts";

/** Settings of {@link Publisher}. */
export interface PublisherOptions {
  readonly broker: Broker;
  readonly maxPayloadBytes: number;
  /** Told of each publish. */
  readonly onPublish?: (scope: Scope, result: "accepted" | "replayed" | "refused" | "failed") => void;
  /** Told of a stored message to a user that was handed to nobody, before its publisher is answered; never rejects. */
  readonly onNobody?: ((stream: Stream, id: string) => Promise<void>) | undefined;
}

/** The hub's answer to a publish. */
export interface Receipt {
  /** The message's id, as the clients see it. */
  readonly id: string;
  /** Connections of this replica that it was handed to, plus the number of other replicas it was handed to. */
  readonly receivers: number;
  /** True when it was sent before under its idempotency key: this is the first answer again. */
  readonly replayed: boolean;
}

/** Longest wait of a publish for room among what is on its way, in ms. */
const roomTimeoutMs = 2000;

/** Messages read at once in search of one that has not expired. */
const expiredPageSize = 1000;

/** What publishers ask of the hub: to send, and to read back what was sent. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #streams: SubscribedStreams;
  /** Source of the ids of live-only messages that do not pass the broker. */
  readonly #instance = newEpoch();
  #liveCount = 0;

  constructor(options: PublisherOptions, streams: SubscribedStreams) {
    this.#options = options;
    this.#streams = streams;
  }

  /** See {@link Hub.send}. */
  async send(stream: Stream, draft: MessageDraft): Promise<Receipt> {
    const { broker, maxPayloadBytes, onPublish, onNobody } = this.#options;
    try {
      const publication = toPublication(stream, draft, maxPayloadBytes, Date.now());
      const here = this.#streams.get(stream);
      const published = here ? await this.#publishHere(here, publication) : await broker.publish(stream, publication);
      onPublish?.(stream.scope, published.replayed ? "replayed" : "accepted");
      // Of a repetition too: the first publisher may have died before it had said so.
      const isForNobody = published.receivers === 0 && stream.scope === "user" && !publication.live;
      if (isForNobody) await onNobody?.(stream, published.id);
      return published;
    } catch (error) {
      const unavailable = error instanceof BelfryError && error.code === "unavailable";
      onPublish?.(stream.scope, unavailable ? "failed" : "refused");
      throw error;
    }
  }

  /** Publishes to a stream that somebody here listens to, when not too much is on its way to them. */
  async #publishHere(here: SubscribedStream, publication: Publication): Promise<Receipt> {
    const { gate } = here.fanOut;
    const bytes = publication.body.length;
    if (!gate.tryTake(bytes) && !(await gate.wait(bytes, roomTimeoutMs))) {
      const detail = "messages are published faster than they can be delivered";
      throw new BelfryError("unavailable", detail, { retryAfterSeconds: 1 });
    }
    try {
      return await this.#options.broker.publish(here.stream, publication, countConnections(here));
    } finally {
      gate.give(bytes);
    }
  }

  /**
   * See {@link Hub.deliverHere}.
   *
   * @param maxPayloadBytes most bytes of the data; default: what publishers may send
   */
  deliverHere(stream: Stream, draft: MessageDraft, maxPayloadBytes: number = this.#options.maxPayloadBytes): void {
    const { body, ts, collapse } = toPublication(stream, draft, maxPayloadBytes, Date.now());
    const id = formatLiveId(this.#instance, ++this.#liveCount);
    const message = { stream, id, position: undefined, body: Buffer.from(body), ts, expiresAtMs: 0, collapse };
    this.#streams.accept(message);
  }

  /** See {@link Hub.history}. */
  async history(stream: Stream, after: Position | undefined, limit: number): Promise<HistoryPage> {
    const { broker } = this.#options;
    let page = await broker.history(stream, after?.offset ?? 0, limit);
    if (after && after.epoch !== page.epoch) page = await broker.history(stream, 0, limit);
    // What has expired is left out, and may be all that a page had. Larger ones come to an end sooner.
    while (page.messages.length === 0 && page.reaches < page.last) {
      page = await broker.history(stream, page.reaches, expiredPageSize);
    }
    return { ...page, messages: page.messages.slice(0, limit) };
  }
}
