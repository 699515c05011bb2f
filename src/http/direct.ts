import type { RequestListener } from "node:http";
import { type EndpointContext, serve } from "./endpoint.ts";
import type { Route } from "./route.ts";

/** A route whose path has parameters. */
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
  const fixed = new Map(posts.flatMap((route) => (route.path.includes(":") ? [] : [[route.path, route]])));
  const patterns = posts
    .filter(({ path }) => path.includes(":"))
    .map((route) => ({ route, pattern: patternOf(route.path) }));
  return (request, response) => {
    const path = request.method === "POST" ? (request.url ?? "").split("?", 1)[0] : undefined;
    const route = path === undefined ? undefined : fixed.get(path);
    if (route) {
      void serve(context, request, response, route);
      return;
    }
    const found = path === undefined ? undefined : find(patterns, path);
    if (found) void serve(context, request, response, found.route, found.params);
    else app(request, response);
  };
}

/** `/users/:id/messages` as an expression with the group `id`. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/:(\w+)/g, "(?<$1>[^/]+)")}$`);
}

function find(patterns: readonly Pattern[], path: string) {
  for (const { route, pattern } of patterns) {
    const groups = pattern.exec(path)?.groups;
    if (!groups) continue;
    try {
      const params = Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]);
      return { route, params: Object.fromEntries(params) as Record<string, string> };
    } catch {
      // Not percent-encoded UTF-8: express says so.
      return undefined;
    }
  }
  return undefined;
}
