import { describe, expect, it } from "vitest";
import { nowNs } from "../../../src/load/clock.ts";
import { minPayloadBytes, sentAtNs } from "../../../src/load/payload.ts";
import { nameOf, Shot, type ShotPlan } from "../../../src/load/shot.ts";

const plan: ShotPlan = {
  endpoint: { address: "127.0.0.1", port: 1, host: "h:1" },
  headers: { Authorization: "Bearer k" },
  to: "broadcast",
  namePrefix: "u-",
  names: 3,
  size: 128,
  burst: 1,
  batch: 1,
};

interface Message {
  readonly to?: { readonly user: string };
  readonly data: { readonly number: string };
}

/** The requests in a shot: their first lines and bodies. */
function requestsOf(shot: Shot): { line: string; body: string }[] {
  const requests: { line: string; body: string }[] = [];
  for (let rest = shot.bytes.toString(); rest !== ""; ) {
    const [head = ""] = rest.split("\r\n\r\n", 1);
    const length = Number(/^Content-Length: (\d+)$/m.exec(head)?.[1]);
    const from = head.length + 4;
    requests.push({ line: head.split("\r\n", 1)[0] ?? "", body: rest.slice(from, from + length) });
    rest = rest.slice(from + length);
  }
  return requests;
}

describe("Shot", () => {
  it.each([minPayloadBytes, 128, 1024, 65_536])("carries data of exactly %d bytes", (size) => {
    const shot = new Shot({ ...plan, size });
    shot.stamp(nowNs(), 42, 0);
    const [request] = requestsOf(shot);
    expect(request?.line).toBe("POST /broadcast HTTP/1.1");
    const { data } = JSON.parse(request?.body ?? "") as Message;
    expect(JSON.stringify(data)).toHaveLength(size);
    expect(Number(data.number)).toBe(42);
  });

  it("says when it was sent, as whoever finds it reads", () => {
    const shot = new Shot(plan);
    for (const timeNs of [0, 999_999_999, 1e9, nowNs(), 9e15]) {
      shot.stamp(timeNs, 0, 0);
      expect(sentAtNs(shot.bytes, 0, shot.bytes.length)).toBe(Math.floor(timeNs));
    }
    expect(sentAtNs(shot.bytes, 0, shot.bytes.indexOf("sentAt") + 10)).toBeUndefined();
  });

  it.each([
    ["topic" as const, "/topics/u-000001/messages"],
    ["request" as const, "/users/u-000001/requests"],
  ])("reaches a %s by its path", (to, path) => {
    const shot = new Shot({ ...plan, to });
    shot.stamp(0, 7, 1);
    expect(requestsOf(shot).map(({ line }) => line)).toEqual([`POST ${path} HTTP/1.1`]);
  });

  it("sends each request of a burst to the next user, and begins again behind the last", () => {
    const shot = new Shot({ ...plan, to: "user", burst: 4 });
    shot.stamp(0, 7, 2);
    const paths = [2, 0, 1, 2].map((user) => `POST /users/${nameOf("u-", user)}/messages HTTP/1.1`);
    const requests = requestsOf(shot);
    expect(requests.map(({ line }) => line)).toEqual(paths);
    expect(requests.map(({ body }) => Number((JSON.parse(body) as Message).data.number))).toEqual([7, 8, 9, 10]);
  });

  it("puts messages to one user each into a batch", () => {
    const shot = new Shot({ ...plan, to: "user", batch: 4 });
    shot.stamp(0, 0, 1);
    const [{ line, body } = { line: "", body: "{}" }] = requestsOf(shot);
    expect(line).toBe("POST /batch HTTP/1.1");
    const { messages } = JSON.parse(body) as { messages: Message[] };
    expect(messages.map(({ to }) => to?.user)).toEqual([1, 2, 0, 1].map((user) => nameOf("u-", user)));
    expect(shot.messages).toBe(4);
  });

  it("has no room for less than its own marks", () => {
    expect(() => new Shot({ ...plan, size: minPayloadBytes - 1 })).toThrow(RangeError);
  });
});
