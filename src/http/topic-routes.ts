import type { z } from "zod";
import type { Hub } from "../hub/hub.ts";
import type { Route } from "./route.ts";
import { answers, presenceSchema } from "./schemas.ts";

/** The routes that tell who is there, and those that subscribe users to topics, on all replicas. */
export function topicRoutes(hub: Hub): Route[] {
  return [
    {
      method: "get",
      path: "/topics/:topic",
      summary: "Say who is subscribed to a topic.",
      right: "read",
      answer: {
        status: 200,
        description: "Connections, and whose they are, over all replicas.",
        schema: answers.topic,
      },
      handle: async ({ params }) => {
        const topic = params["topic"] ?? "";
        return { status: 200, body: { topic, ...(await hub.topic(topic)) } };
      },
    },
    {
      method: "post",
      path: "/presence",
      summary: "Say which of many users are online.",
      right: "read",
      body: { schema: presenceSchema, maxBytes: maxPresenceBytes },
      answer: { status: 200, description: "Each user, in the order asked for.", schema: answers.presence },
      handle: async ({ body }) => {
        const { users } = body as z.output<typeof presenceSchema>;
        const connections = await Promise.all(users.map((user) => hub.connectionsOf(user)));
        const found = users.map((user, index) => {
          const count = connections[index]?.length ?? 0;
          return { user, online: count > 0, connections: count };
        });
        return { status: 200, body: { users: found } };
      },
    },
    {
      method: "get",
      path: "/users/:id/topics",
      summary: "List the topics that a user is subscribed to by the service.",
      right: "read",
      answer: { status: 200, description: "The topics.", schema: answers.userTopics },
      handle: async ({ params }) => {
        const user = params["id"] ?? "";
        return { status: 200, body: { user, topics: await hub.userTopics.of(user) } };
      },
    },
    userTopicRoute(
      "put",
      "Subscribe a user to a topic: every connection, now and later, until that is taken back.",
      "The user is subscribed.",
      (user, topic) => hub.userTopics.add(user, topic),
    ),
    userTopicRoute(
      "delete",
      "Take back that a user is subscribed to a topic.",
      "The user is not subscribed any more.",
      (user, topic) => hub.userTopics.remove(user, topic),
    ),
  ];
}

/** Bytes of a question for many users. */
const maxPresenceBytes = 1024 * 1024;

/** @param change makes the change and says how many connections the user has */
function userTopicRoute(
  method: "put" | "delete",
  summary: string,
  description: string,
  change: (user: string, topic: string) => Promise<number>,
): Route {
  return {
    method,
    path: "/users/:id/topics/:topic",
    summary,
    right: "admin",
    answer: { status: 200, description, schema: answers.userTopic },
    handle: async ({ params }) => {
      const { id: user = "", topic = "" } = params;
      return { status: 200, body: { user, topic, connections: await change(user, topic) } };
    },
  };
}
