import type { z } from "zod";
import type { Hub } from "../hub/hub.ts";
import { memberSpan, type Span } from "../protocol/raw-json.ts";
import { envelopeBytes } from "./body.ts";
import type { Route } from "./route.ts";
import { replySchema, requestSchema } from "./schemas.ts";

/** The route that asks a user and waits for the answer. */
export function requestRoute(hub: Hub, maxPayloadBytes: number): Route {
  return {
    method: "post",
    path: "/users/:id/requests",
    summary: "Ask a user, on all of the user's connections, and wait for the first reply.",
    right: "publish",
    body: { schema: requestSchema, maxBytes: maxPayloadBytes + envelopeBytes, countMessages: () => 1 },
    answer: { status: 200, description: "The first reply.", schema: replySchema },
    problems: { 404: "The user has no connection.", 504: "Nobody replied in time." },
    handle: async ({ params, body, text, hungUp }) => {
      const { event, timeout } = body as z.output<typeof requestSchema>;
      const [start, end] = memberSpan(text, "data") as Span;
      const options = { event, timeoutMs: timeout, signal: hungUp() };
      const { data, connection } = await hub.requests.send(params["id"] ?? "", text.slice(start, end), options);
      // The data is written as the client wrote it.
      const answer = `{"data":${data},"connection":${JSON.stringify(connection)}}`;
      return { status: 200, body: answer, contentType: "application/json" };
    },
  };
}
