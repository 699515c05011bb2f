import type { RequestListener } from "node:http";
import { type EndpointContext, serve } from "./endpoint.ts";
import type { Route } from "./route.ts";

/** A route, and what its path looks like. */
interface Pattern {
  readonly route: Route;
  readonly pattern: RegExp;
}

/**
 * Serves the POST routes without express, whose layers cost more than all the rest of a small publish, and hands every
 * other request to it: also those that are not worth a shortcut, since they are refused.
 */
export function serveDirectly(
  context: EndpointContext,
  routes: readonly Route[],
  app: RequestListener,
): RequestListener {
  const posts = routes.filter(({ method }) => method === "post");
  const patterns = posts.map((route) => ({ route, pattern: patternOf(route.path) }));
  return (request, response) => {
    const found = request.method === "POST" ? find(patterns, request.url ?? "") : undefined;
    if (found) void serve(context, request, response, found.route, found.params);
    else app(request, response);
  };
}

/** `/users/:id/messages` as an expression with the group `id`. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/:(\w+)/g, "(?<$1>[^/]+)")}$`);
}

function find(patterns: readonly Pattern[], url: string) {
  const path = url.split("?", 1)[0] ?? "";
  for (const { route, pattern } of patterns) {
    const match = pattern.exec(path);
    if (!match) continue;
    try {
      return { route, params: match.groups && decoded(match.groups) };
    } catch {
      // Not percent-encoded UTF-8: express says so.
      return undefined;
    }
  }
  return undefined;
}

function decoded(groups: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]));
}
