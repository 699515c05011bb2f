import type { Hub } from "../hub/hub.ts";
import type { Route } from "./route.ts";
import { answers } from "./schemas.ts";

/** The routes that look at users and disconnect them, on all replicas. */
export function userRoutes(hub: Hub): Route[] {
  return [
    {
      method: "get",
      path: "/users/:id",
      summary: "Say whether a user is online, and on which connections.",
      right: "read",
      answer: { status: 200, description: "The user's connections over all replicas.", schema: answers.user },
      handle: async ({ params }) => {
        const user = params["id"] ?? "";
        const connections = await hub.connectionsOf(user);
        return { status: 200, body: { user, online: connections.length > 0, connections } };
      },
    },
    {
      method: "delete",
      path: "/users/:id/connections",
      summary: "Close all of a user's connections everywhere, with 4403.",
      right: "admin",
      answer: { status: 200, description: "How many connections there were.", schema: answers.closed },
      handle: async ({ params }) => ({ status: 200, body: { closed: await hub.disconnect(params["id"] ?? "") } }),
    },
  ];
}
