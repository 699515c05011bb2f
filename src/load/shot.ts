import { writeDigits } from "./digits.ts";
import type { Endpoint } from "./endpoint.ts";
import { payloadOf, stampPayload } from "./payload.ts";

/** Digits of a user's index in the name; there are at most a million users. */
const userWidth = 6;

/** Name of a user of the load. */
export function userName(prefix: string, index: number): string {
  return prefix + String(index).padStart(userWidth, "0");
}

/** What the requests look like. */
export interface ShotPlan {
  readonly endpoint: Endpoint;
  /** Header fields beside those that every request has. */
  readonly headers: Readonly<Record<string, string>>;
  readonly to: "broadcast" | "user";
  /** What the names of the users begin with. */
  readonly userPrefix: string;
  /** How many users take turns. */
  readonly users: number;
  /** Bytes of a message's data. */
  readonly size: number;
  /** Requests in one write. */
  readonly burst: number;
  /** Messages in a request, by `POST /batch`; 1: each in a request of its own. */
  readonly batch: number;
}

/** The requests that go out in one write, made once; only times, numbers and users are written anew. */
export class Shot {
  readonly bytes: Buffer;
  readonly #users: number;
  readonly #payloadsAt: readonly number[];
  readonly #usersAt: readonly number[];

  constructor(plan: ShotPlan) {
    const request = requestOf(plan);
    this.bytes = Buffer.from(request.repeat(plan.burst));
    this.#users = plan.users;
    this.#payloadsAt = placesOf(this.bytes, payloadOf(plan.size), 0);
    const user = userName(plan.userPrefix, 0);
    this.#usersAt = plan.to === "user" ? placesOf(this.bytes, user, user.length - userWidth) : [];
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
   * @param user index of the first message's user; the others follow
   */
  stamp(timeNs: number, number: number, user: number): void {
    for (const [index, at] of this.#payloadsAt.entries()) stampPayload(this.bytes, at, timeNs, number + index);
    for (const [index, at] of this.#usersAt.entries()) {
      writeDigits(this.bytes, at, userWidth, (user + index) % this.#users);
    }
  }
}

function requestOf(plan: ShotPlan): string {
  const data = payloadOf(plan.size);
  const user = userName(plan.userPrefix, 0);
  const to = plan.to === "broadcast" ? '"broadcast"' : `{"user":"${user}"}`;
  const message = `{"to":${to},"data":${data}}`;
  const single = plan.to === "broadcast" ? "/broadcast" : `/users/${user}/messages`;
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
