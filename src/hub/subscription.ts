import type { AdmittedStream } from "./admission.ts";
import type { Connection } from "./connection.ts";
import type { FanOut } from "./fan-out.ts";
import type { HistoryReader } from "./history-reader.ts";
import type { Member } from "./member.ts";
import type { Receipts } from "./receipts.ts";
import type { AckWait, Receiver } from "./receiver.ts";
import { Recovery } from "./recovery.ts";
import type { SubscribedStream } from "./subscribed-stream.ts";

/** One connection's place in one stream: the one object there is for it, since there may be millions. */
export class Subscription implements Receiver {
  readonly member: Member;
  readonly subscribed: SubscribedStream;
  joined = 0;
  readonly from: number;
  readonly known: number;
  readonly liveBefore: number;
  acked = 0;
  waits: Set<AckWait> | undefined;
  #recovery: Recovery | undefined;

  /** Begins where the connection was admitted: in history, or live. */
  constructor(
    member: Member,
    { subscribed, plan, page }: AdmittedStream,
    { reader, receipts }: { readonly reader: HistoryReader; readonly receipts: Receipts },
  ) {
    this.member = member;
    this.subscribed = subscribed;
    this.from = plan?.from.offset ?? subscribed.position?.offset ?? 0;
    // Who resumes has everything up to there, and may have had no time to say so.
    this.known = plan?.recovered ? 0 : this.from;
    this.liveBefore = receipts.liveCount;
    if (plan) this.#recovery = new Recovery(this, subscribed, plan.from, reader, page);
    else subscribed.fanOut.join(this);
  }

  get connection(): Connection {
    return this.member.connection;
  }

  get source(): FanOut {
    return this.subscribed.fanOut;
  }

  /** Resolves when the connection has been given what it missed. */
  async live(): Promise<void> {
    await this.#recovery?.ended;
  }

  /** Ends it; the hold on the stream is the caller's to give back. */
  end(receipts: Receipts): void {
    this.#recovery?.cancel();
    this.subscribed.fanOut.leave(this);
    receipts.end(this);
  }
}
