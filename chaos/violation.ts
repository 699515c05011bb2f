/** What can be wrong, in the words of docs/chaos.md. */
type ViolationKind =
  | "loss"
  | "double"
  | "disorder"
  | "recovered"
  | "epoch"
  | "content"
  | "idempotency"
  | "history"
  | "protocol"
  | "process"
  | "foreign"
  | "subscription"
  | "presence";

/** A promise that was broken, with everything needed to find where. */
export interface Violation {
  readonly kind: ViolationKind;
  /** `broadcast`, `user:NAME` or `topic:NAME`; undefined when no stream is concerned. */
  readonly stream?: string | undefined;
  /** Undefined when it does not concern one client. */
  readonly client?: string | undefined;
  readonly epoch?: string | undefined;
  /** First and last offset concerned, both included. */
  readonly offsets?: readonly [first: number, last: number] | undefined;
  readonly detail: string;
}

/** Takes what was found. */
export type Report = (violation: Violation) => void;
