import type { z } from "zod";
import type { Config } from "../config.ts";
import { BelfryError } from "../errors.ts";
import type { Hub } from "../hub/hub.ts";
import type { Route } from "./route.ts";
import { answers, revocationSchema } from "./schemas.ts";

/** Largest body of a revocation, in bytes: what is valid fits, with every character written as two escapes. */
const maxBytes = 16 * 1024;

/** From here on a number is a time in ms, below it is one in seconds, as tokens have it: the year 5138, or 1973. */
const leastMs = 1e11;

/**
 * The route that revokes tokens.
 *
 * @param ttlSeconds how long a revocation is kept
 */
export function revocationRoute(hub: Hub, authMode: Config["authMode"], ttlSeconds: number): Route {
  return {
    method: "post",
    path: "/revocations",
    summary: "Refuse tokens everywhere from now on, and close the connections that were let in with them, with 4401.",
    right: "admin",
    body: { schema: revocationSchema, maxBytes },
    answer: { status: 202, description: "In force on all replicas.", schema: answers.revoked },
    handle: async ({ body }) => {
      if (authMode === "none") throw new BelfryError("invalid", "with AUTH_MODE=none there are no tokens to revoke");
      const { user, jti, before } = body as z.output<typeof revocationSchema>;
      const now = Date.now();
      const givenMs = before !== undefined && before < leastMs ? before * 1000 : before;
      // A user is not locked out for good: whoever logs in again gets a token that is newer.
      const beforeMs = givenMs ?? (jti === undefined ? now : undefined);
      const expiresAtMs = now + ttlSeconds * 1000;
      await hub.revoke({ user, jti, beforeMs, expiresAtMs });
      return { status: 202, body: { until: expiresAtMs } };
    },
  };
}
