import { constants, inflateRawSync } from "node:zlib";
import { nowNs } from "./clock.ts";
import { Histogram } from "./histogram.ts";
import { sentAtNs } from "./payload.ts";

/** What ends a compressed message and is not sent. RFC 7692 section 7.2.2. */
const deflateTail = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/** Counts of what came in over many connections. */
export class Tally {
  /** Messages, greetings left out. */
  messages = 0;
  bytes = 0;
  reads = 0;
  pings = 0;
  /** Messages looked into, and those of them that came compressed and were what was sent. */
  samples = 0;
  compressedSamples = 0;
  /** When the last messages came, in ns. */
  lastNs = 0;
  /** From when a message was sent, or should have been, until it came. */
  readonly latency = new Histogram();
  /** Messages until the next one is looked into. */
  untilSample = 1;
  #readNs = 0;
  readonly #sampleEvery: number;

  /** @param sampleEvery look into every n-th message; a prime, so that it is not always the same connection's */
  constructor(sampleEvery: number) {
    this.#sampleEvery = sampleEvery;
  }

  /** Forgets all. */
  reset(): void {
    this.messages = this.bytes = this.reads = this.pings = this.samples = this.compressedSamples = 0;
    this.latency.reset();
  }

  /** Notes a read. */
  read(length: number): void {
    this.reads++;
    this.bytes += length;
    this.#readNs = nowNs();
  }

  /** Notes how many messages ended in it. */
  count(messages: number): void {
    if (messages === 0) return;
    this.messages += messages;
    this.lastNs = this.#readNs;
  }

  /**
   * Looks into a message. One that does not say when it was sent, or is not all there though it would have to be, is left,
   * and the next one is looked into.
   *
   * @param isWhole true when `to` is where the message ends
   */
  sample(bytes: Buffer, from: number, to: number, isWhole: boolean, isCompressed: boolean): void {
    if (isCompressed && !isWhole) return;
    const sentNs = isCompressed ? sentInCompressed(bytes.subarray(from, to)) : sentAtNs(bytes, from, to);
    if (sentNs === undefined && !isCompressed) return;
    this.untilSample = this.#sampleEvery;
    this.samples++;
    if (sentNs === undefined) return;
    if (isCompressed) this.compressedSamples++;
    this.latency.add(this.#readNs - sentNs);
  }
}

function sentInCompressed(payload: Buffer): number | undefined {
  try {
    const text = inflateRawSync(Buffer.concat([payload, deflateTail]), { finishFlush: constants.Z_SYNC_FLUSH });
    return sentAtNs(text, 0, text.length);
  } catch {
    return undefined;
  }
}
