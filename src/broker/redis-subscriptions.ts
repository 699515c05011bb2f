import type { Stream } from "../protocol/streams.ts";
import type { KnownPosition, Standing } from "./broker.ts";
import type { RedisNode } from "./redis-node.ts";
import type { RedisNodes } from "./redis-nodes.ts";
import type { RedisStore } from "./redis-store.ts";

/** A node in one of its generations: with the next the subscriptions may be gone. */
interface Place {
  readonly node: RedisNode;
  readonly generation: number;
}

interface Subscription {
  readonly stream: Stream;
  /** Where it is subscribed; undefined: not yet. */
  place: Place | undefined;
}

/** The streams and the one other channel that this replica wants to be subscribed to, and where it is. */
export class RedisSubscriptions {
  readonly #nodes: RedisNodes;
  readonly #store: RedisStore;
  /** By channel. */
  readonly #subscriptions = new Map<string, Subscription>();
  /** Where what backends publish is to be listened to. */
  #listening: Place | undefined;
  /** Where it is; undefined: nowhere yet. */
  #heard: Place | undefined;

  constructor(nodes: RedisNodes, store: RedisStore) {
    this.#nodes = nodes;
    this.#store = store;
  }

  /** The stream that a channel belongs to; undefined when it is not wanted any more. */
  streamOf(channel: string): Stream | undefined {
    return this.#subscriptions.get(channel)?.stream;
  }

  /**
   * Subscribes first and reads the positions then, so that nothing falls in between.
   *
   * @param streams all served by the node
   * @param known where the caller has been in each
   */
  async add(
    node: RedisNode,
    streams: readonly Stream[],
    known: readonly (KnownPosition | undefined)[],
  ): Promise<Standing[]> {
    const place = { node, generation: node.generation };
    const added = streams.map((stream): [channel: string, Subscription] => {
      const channel = this.#store.channelOf(stream);
      const subscription = this.#subscriptions.get(channel) ?? { stream, place: undefined };
      this.#subscriptions.set(channel, subscription);
      return [channel, subscription];
    });
    try {
      await node.subscribe(added.map(([channel]) => channel));
      const positions = await Promise.all(streams.map((stream, i) => this.#store.position(node, stream, known[i])));
      for (const [, subscription] of added) subscription.place = place;
      return positions;
    } catch (error) {
      for (const [channel] of added) this.#remove(channel, node);
      throw error;
    }
  }

  /** Ends a subscription; never rejects. */
  remove(stream: Stream): void {
    const channel = this.#store.channelOf(stream);
    this.#remove(channel, this.#nodes.nodeOf(channel));
  }

  /** Streams whose node can work, but has lost the subscription, or has taken the stream over from another. */
  get lost(): Stream[] {
    const lost: Stream[] = [];
    for (const [channel, { stream, place }] of this.#subscriptions) {
      const node = this.#nodes.nodeOf(channel);
      if (node?.ready && !isAt(place, node)) lost.push(stream);
    }
    return lost;
  }

  /**
   * Makes sure that a channel is listened to that others publish to with PUBLISH: once, on the node that serves it, since a
   * cluster passes these on to all nodes.
   */
  async listen(channel: string): Promise<void> {
    const node = this.#nodes.nodeOf(channel);
    const before = this.#listening;
    if (!node?.ready || isAt(before, node)) return;
    const place = { node, generation: node.generation };
    this.#listening = place;
    try {
      await node.listen(channel);
      this.#heard = place;
      if (before && before.node !== node) before.node.unlisten(channel);
    } catch (error) {
      if (this.#listening === place) this.#listening = undefined;
      throw error;
    }
  }

  /** True when {@link listen} has done its work, and the channel has not moved since. */
  isListeningTo(channel: string): boolean {
    const node = this.#nodes.nodeOf(channel);
    return node !== undefined && isAt(this.#heard, node);
  }

  #remove(channel: string, node: RedisNode | undefined): void {
    this.#subscriptions.delete(channel);
    node?.unsubscribe(channel);
  }
}

function isAt(place: Place | undefined, node: RedisNode): boolean {
  return place?.node === node && place.generation === node.generation;
}
