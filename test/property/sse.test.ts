import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { messageHead } from "../../src/protocol/frames.ts";
import { broadcastStream } from "../../src/protocol/streams.ts";
import { frameData, idLine, messageData, pingComment } from "../../src/sse/event.ts";
import { EventReader, type StreamEvent } from "../support/event-reader.ts";

/** JSON with every kind of white space between its parts. */
const space = fc.stringMatching(/^[ \t\n\r]{0,4}$/);
const json = fc.tuple(fc.jsonValue(), fc.array(space, { minLength: 1 })).map(([value, spaces]) => {
  let n = 0;
  const next = () => spaces[n++ % spaces.length] ?? "";
  // What JSON.stringify writes has structure only outside of texts.
  return JSON.stringify(value).replace(/"(?:[^"\\]|\\.)*"|[[\]{},:]/g, (part) =>
    part.startsWith('"') ? part : next() + part + next(),
  );
});

const message = (body: string, offset: number) => ({
  stream: broadcastStream,
  id: `b-e1-${offset}`,
  position: { epoch: "e1", offset },
  body: Buffer.from(body),
  ts: 0,
  expiresAtMs: 0,
  collapse: undefined,
});

describe("events", () => {
  it("are read as the frames that they were made of, in whatever pieces they come", () => {
    fc.assert(
      fc.property(fc.array(json, { maxLength: 5 }), fc.array(fc.nat(40), { minLength: 1 }), (values, lengths) => {
        const messages = values.map((value, index) => message(`"data":${value}}`, index + 1));
        const data = messageData(messages);
        const events = messages.map(({ id }, index) =>
          Buffer.concat([Buffer.from(idLine([id, "u-e2-7"])), data[index]!]),
        );
        const error = frameData({ type: "error", code: "failed", detail: "a\nb" });
        const stream = Buffer.concat([...events, Buffer.from(pingComment + error)]);
        const received: StreamEvent[] = [];
        const reader = new EventReader((event) => received.push(event));
        for (let at = 0, n = 0; at < stream.length; n++) {
          const length = 1 + (lengths[n % lengths.length] ?? 0);
          reader.read(stream.subarray(at, at + length));
          at += length;
        }
        const lines = (text: string) => text.replace(/\r\n?/g, "\n");
        expect(received).toEqual([
          ...messages.map(({ id, body }) => ({
            type: "message",
            data: lines(messageHead(id) + body.toString()),
            lastEventId: `${id},u-e2-7`,
          })),
          { type: "message", data: error.slice("data: ".length, -2), lastEventId: received.at(-2)?.lastEventId ?? "" },
        ]);
        for (const [index, value] of values.entries()) {
          expect(JSON.parse(received[index]?.data ?? "").data).toEqual(JSON.parse(value));
        }
      }),
    );
  });
});
