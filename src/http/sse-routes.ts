import type { Sse } from "../sse/sse.ts";
import { ssePath } from "../sse/sse.ts";
import { envelopeBytes } from "./body.ts";
import type { Answer, Route } from "./route.ts";
import { answers, clientFrameSchema } from "./schemas.ts";

/** What a browser asks before it lets a page of another origin do more than a form could, and for how many seconds it remembers. */
const preflight: Answer = {
  status: 200,
  body: {},
  headers: {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "authorization, content-type, last-event-id",
    "Access-Control-Max-Age": "7200",
  },
};

/** The routes of Server-Sent Events; pages of allowed origins may call them. */
export function sseRoutes(sse: Sse, maxPayloadBytes: number): Route[] {
  const cors = (origin: string | undefined) => sse.corsHeaders(origin);
  const preflightOf = (path: string): Route => ({
    method: "options",
    path,
    summary: "Tell a browser what pages of other origins may do here.",
    cors,
    answer: { status: 200, description: "The headers say it.", schema: answers.empty },
    handle: () => preflight,
  });
  return [
    {
      method: "get",
      path: ssePath,
      head: false,
      summary: "Stream events to a client, as a WebSocket would bring frames.",
      cors,
      answer: { status: 200, description: "A text/event-stream that ends when the connection does." },
      handle: async ({ request, response }) => {
        await sse.open(request, response);
        return undefined;
      },
    },
    {
      method: "post",
      path: `${ssePath}/:connection`,
      summary: "Take a frame of the client of a stream; what it is answered with comes on the stream.",
      cors,
      body: { schema: clientFrameSchema, maxBytes: maxPayloadBytes + envelopeBytes },
      answer: { status: 202, description: "The frame is on its way.", schema: answers.empty },
      handle: async ({ params, request, text }) => {
        await sse.post(params["connection"] ?? "", request, text);
        return { status: 202, body: {} };
      },
    },
    preflightOf(ssePath),
    preflightOf(`${ssePath}/:connection`),
  ];
}
