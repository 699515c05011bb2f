import type { Token } from "../../src/credentials.ts";
import type { Connection, Welcome } from "../../src/hub/connection.ts";
import type { Delivery } from "../../src/hub/delivery.ts";
import type { CloseCause } from "../../src/protocol/close-codes.ts";
import type { ServerFrame } from "../../src/protocol/frames.ts";

let count = 0;

/** A connection that writes down what the hub does with it. */
export class FakeConnection implements Connection {
  readonly id = `c${++count}`;
  readonly user: string | null;
  readonly transport = "ws";
  readonly connectedAtMs = 1_700_000_000_000;
  readonly remote = "192.0.2.1";
  /** Ids of the messages handed over. */
  readonly ids: string[] = [];
  /** Frames beside the messages and the welcome. */
  readonly frames: ServerFrame[] = [];
  readonly closes: { cause: CloseCause; reason: string | undefined }[] = [];
  welcomed: Welcome | undefined;
  /** Set to refuse messages, as a slow client's connection does. */
  slow = false;
  /** What the transport does when the connection goes: it takes it out of the hub. */
  onClose: (connection: FakeConnection) => void = () => {};

  token: Token | undefined;

  constructor(user: string | null = null) {
    this.user = user;
  }

  welcome(welcome: Welcome): void {
    this.welcomed = welcome;
  }

  topicsApplied(): void {}

  send(frame: ServerFrame): void {
    this.frames.push(frame);
  }

  get gone(): boolean {
    return this.closes.length > 0;
  }

  renew(token: Token | undefined): void {
    this.token = token;
  }

  cork(): void {}

  uncork(): void {}

  pace(): Promise<void> | undefined {
    return undefined;
  }

  deliver({ messages }: Delivery): boolean {
    if (this.slow) {
      this.close("slow_consumer");
      return false;
    }
    this.ids.push(...messages.map(({ id }) => id));
    return true;
  }

  close(cause: CloseCause, reason?: string): void {
    if (this.closes.length > 0) return;
    this.closes.push({ cause, reason });
    this.onClose(this);
  }
}
