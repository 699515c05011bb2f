import { writeDigits } from "./digits.ts";
import type { Endpoint } from "./endpoint.ts";
import { payloadOf, stampPayload } from "./payload.ts";

/** Whom messages go to: everyone, one user each, the subscribers of one topic each, or one user each, who is to reply. */
export type Target = "broadcast" | "user" | "topic" | "request";

/** Digits of an index in a name; there are at most a million users or topics. */
const nameWidth = 6;

/** Name of a user or a topic of the load. */
export function nameOf(prefix: string, index: number): string {
  return prefix + String(index).padStart(nameWidth, "0");
}

/** What the requests look like. */
export interface ShotPlan {
  readonly endpoint: Endpoint;
  /** Header fields beside those that every request has. */
  readonly headers: Readonly<Record<string, string>>;
  readonly to: Target;
  /** What the names of the users or topics begin with. */
  readonly namePrefix: string;
  /** How many users or topics take turns. */
  readonly names: number;
  /** Bytes of a message's data. */
  readonly size: number;
  /** Requests in one write. */
  readonly burst: number;
  /** Messages in a request, by `POST /batch`, which knows no requests to users; 1: each in a request of its own. */
  readonly batch: number;
}

/** The requests that go out in one write, made once; only times, numbers and names are written anew. */
export class Shot {
  readonly bytes: Buffer;
  readonly #names: number;
  readonly #payloadsAt: readonly number[];
  readonly #namesAt: readonly number[];

  constructor(plan: ShotPlan) {
    const request = requestOf(plan);
    this.bytes = Buffer.from(request.repeat(plan.burst));
    this.#names = plan.names;
    this.#payloadsAt = placesOf(this.bytes, payloadOf(plan.size), 0);
    const name = nameOf(plan.namePrefix, 0);
    this.#namesAt = plan.to === "broadcast" ? [] : placesOf(this.bytes, name, name.length - nameWidth);
  }

  /** How many messages there are in it. */
  get messages(): number {
    return this.#payloadsAt.length;
  }

  /**
   * Writes what is new.
   *
   * @param timeNs when it is sent, or should be
   * @param number of its first message
   * @param index of the first message's user or topic; the others follow
   */
  stamp(timeNs: number, number: number, index: number): void {
    for (const [n, at] of this.#payloadsAt.entries()) stampPayload(this.bytes, at, timeNs, number + n);
    for (const [n, at] of this.#namesAt.entries()) {
      writeDigits(this.bytes, at, nameWidth, (index + n) % this.#names);
    }
  }
}

function requestOf(plan: ShotPlan): string {
  const data = payloadOf(plan.size);
  const name = nameOf(plan.namePrefix, 0);
  const message = `{"to":${plan.to === "broadcast" ? '"broadcast"' : `{"${plan.to}":"${name}"}`},"data":${data}}`;
  const single = {
    broadcast: "/broadcast",
    user: `/users/${name}/messages`,
    topic: `/topics/${name}/messages`,
    request: `/users/${name}/requests`,
  }[plan.to];
  const [path, body] =
    plan.batch > 1
      ? ["/batch", `{"messages":[${Array.from({ length: plan.batch }, () => message).join(",")}]}`]
      : [single, `{"data":${data}}`];
  const headers = {
    Host: plan.endpoint.host,
    "Content-Type": "application/json",
    "Content-Length": body.length,
    ...plan.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

/** Where a text stands in the bytes, each place moved on by an offset. */
function placesOf(bytes: Buffer, text: string, offset: number): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + text.length)) places.push(at + offset);
  return places;
}
