import type { AdmittedStream } from "./admission.ts";
import type { HistoryReader } from "./history-reader.ts";
import type { Member } from "./member.ts";
import type { Receipts } from "./receipts.ts";
import { Recovery } from "./recovery.ts";
import type { SubscribedStream } from "./subscribed-stream.ts";

/** One connection's place in one stream. */
export class Subscription {
  readonly subscribed: SubscribedStream;
  readonly #member: Member;
  readonly #receipts: Receipts;
  readonly #recovery: Recovery | undefined;

  /** Begins where the connection was admitted: in history, or live. */
  constructor(
    member: Member,
    { subscribed, plan, page }: AdmittedStream,
    { reader, receipts }: { readonly reader: HistoryReader; readonly receipts: Receipts },
  ) {
    this.subscribed = subscribed;
    this.#member = member;
    this.#receipts = receipts;
    receipts.begin(member.connection, subscribed, plan);
    if (plan) this.#recovery = new Recovery(member, subscribed, plan.from, reader, page);
    else subscribed.fanOut.join(member);
  }

  /** Resolves when the connection has been given what it missed. */
  async live(): Promise<void> {
    await this.#recovery?.ended;
  }

  /** Ends it; the hold on the stream is the caller's to give back. */
  end(): void {
    this.#recovery?.cancel();
    this.subscribed.fanOut.leave(this.#member);
    this.#receipts.end(this.#member.connection, this.subscribed);
  }
}
