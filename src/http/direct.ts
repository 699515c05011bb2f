import type { RequestListener } from "node:http";
import { BelfryError } from "../errors.ts";
import { type EndpointContext, serve } from "./endpoint.ts";
import type { Route } from "./route.ts";

/** A route, and what its path looks like. */
interface Pattern {
  readonly route: Route;
  readonly pattern: RegExp;
  /** Names of the path's parameters, in the order of the pattern's groups. */
  readonly names: readonly string[];
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
  const patterns = posts.map(patternOf);
  return (request, response) => {
    // Whatever else a target may be, express would ask Node's old URL parser, which throws up at some.
    if (!request.url?.startsWith("/")) {
      const path = originForm(request.url ?? "");
      if (path === undefined) return void serve(context, request, response, noTarget);
      request.url = path;
    }
    const found = request.method === "POST" ? find(patterns, request.url ?? "") : undefined;
    if (found) void serve(context, request, response, found.route, found.params);
    else app(request, response);
  };
}

const noTarget = new BelfryError("malformed", "the request target is neither a path nor a URL");

/** The path and query of a target in absolute form, which every server must take (RFC 9112 section 3.2.2); `*` is a path to us. */
function originForm(target: string): string | undefined {
  if (target === "*") return "/*";
  if (!/^https?:/i.test(target) || !URL.canParse(target)) return undefined;
  const { pathname, search } = new URL(target);
  return pathname + search;
}

/** `/users/:id/messages` as an expression with a group for `id`. Named groups would cost more than the whole search. */
function patternOf(route: Route): Pattern {
  const names = Array.from(route.path.matchAll(/:(\w+)/g), ([, name = ""]) => name);
  return { route, pattern: new RegExp(`^${route.path.replace(/:\w+/g, "([^/]+)")}$`), names };
}

function find(patterns: readonly Pattern[], url: string) {
  const query = url.indexOf("?");
  const path = query === -1 ? url : url.slice(0, query);
  for (const { route, pattern, names } of patterns) {
    const match = pattern.exec(path);
    if (!match) continue;
    const params: Record<string, string> = {};
    try {
      for (const [index, name] of names.entries()) params[name] = decodeURIComponent(match[index + 1] ?? "");
    } catch {
      // Not percent-encoded UTF-8: express says so.
      return undefined;
    }
    return { route, params };
  }
  return undefined;
}
