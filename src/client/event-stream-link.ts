import type { IncomingFrame } from "./frames.ts";
import type { Transport } from "./link.ts";

/** Status of a refusal, and the close code that says the same. */
const codes: Readonly<Record<number, number>> = { 400: 1008, 401: 4401, 403: 4403, 429: 4429, 503: 1013 };

/**
 * A link by Server-Sent Events, for networks that let no WebSocket through. Frames of the client's go by requests of their
 * own, one after the other.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export const eventStreamLink: Transport = ({ base, flag, since }, handler) => {
  const url = new URL("sse", base);
  for (const id of since) url.searchParams.append("since", id);
  const abort = new AbortController();
  const bearer = (secret: string | undefined) => (secret === undefined ? {} : { authorization: `Bearer ${secret}` });
  let welcome: Extract<IncomingFrame, { type: "welcome" }> | undefined;
  let sending = Promise.resolve();
  const over = (code: number, reason: string) => {
    if (abort.signal.aborted) return;
    abort.abort();
    handler.closed(code, reason);
  };

  function take(event: string, data: string): void {
    if (abort.signal.aborted) return;
    if (event === "close") {
      const { code, reason } = JSON.parse(data) as { code: number; reason: string };
      over(code, reason);
    } else {
      if (!welcome) welcome = JSON.parse(data);
      handler.frame(data);
    }
  }

  async function read(): Promise<void> {
    const { signal } = abort;
    const response = await fetch(url, { headers: bearer(flag), signal });
    if (!response.ok || !response.body) return over(codes[response.status] ?? 1006, `HTTP ${response.status}`);
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    let rest = "";
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      handler.alive();
      const events = (rest + decoder.decode(chunk.value, { stream: true })).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) dispatch(event, take);
    }
    over(1006, "");
  }

  async function post(frame: unknown): Promise<void> {
    if (!welcome || abort.signal.aborted) return;
    const response = await fetch(new URL(`sse/${welcome.connection}`, base), {
      method: "POST",
      headers: { "content-type": "application/json", ...bearer(welcome.secret) },
      body: JSON.stringify(frame),
      signal: abort.signal,
    });
    if (!response.ok) over(codes[response.status] ?? 1006, `HTTP ${response.status}`);
  }

  read().catch(() => over(1006, ""));
  return {
    send: (frame) => {
      sending = sending.then(() => post(frame)).catch(() => over(1006, ""));
    },
    close: () => abort.abort(),
  };
};

/** Reads the lines of one event, which the service ends by line feeds. */
function dispatch(text: string, take: (event: string, data: string) => void): void {
  let name = "message";
  const data: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (data.length > 0) take(name, data.join("\n"));
}
