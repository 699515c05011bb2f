import type { Random } from "../chaos/random.ts";
import { randomBytes } from "./bytes.ts";
import type { Configuration } from "./configuration.ts";
import { type Request, setHeader } from "./request.ts";
import { someUser } from "./values.ts";

/** A handshake that is let in. */
export function goodHandshake(random: Random, { flagOf }: Configuration): Request {
  const request: Request = {
    method: "GET",
    target: "/ws",
    version: "HTTP/1.1",
    headers: [
      ["Host", "localhost"],
      ["Upgrade", "websocket"],
      ["Connection", "Upgrade"],
      ["Sec-WebSocket-Key", randomBytes(random, 16).toString("base64")],
      ["Sec-WebSocket-Version", "13"],
      ["Sec-WebSocket-Protocol", `belfry.v1, ${flagOf(someUser(random))}`],
    ],
    body: Buffer.alloc(0),
  };
  if (random.chance(0.5)) setHeader(request, "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");
  return request;
}
