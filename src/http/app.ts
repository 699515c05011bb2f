import express, { type ErrorRequestHandler, type Express, type Request, type Response } from "express";
import { BelfryError, toBelfryError } from "../errors.ts";
import { type EndpointContext, serve } from "./endpoint.ts";
import type { Route } from "./route.ts";

/**
 * Puts routes under one express application: each path answers its methods, 405 with `Allow` to others, and everything
 * else is 404.
 *
 * @param passOn true inside somebody else's application: unknown paths are left to it
 */
export function createHttpApp(context: EndpointContext, routes: readonly Route[], passOn = false): Express {
  const app = express().disable("x-powered-by").disable("etag").set("query parser", false);
  const router = express.Router({ caseSensitive: true, strict: true });
  const byPath = Map.groupBy(routes, ({ path }) => path);
  for (const [path, methods] of byPath) {
    const served = router.route(path);
    for (const route of methods) {
      served[route.method]((request: Request, response: Response) =>
        serve(context, request, response, route, request.params as Record<string, string>),
      );
    }
    const allow = methods.flatMap(({ method, head }) =>
      method === "get" && head !== false ? ["GET", "HEAD"] : [method.toUpperCase()],
    );
    const refusal = new BelfryError("method_not_allowed", `this path takes ${allow.join(", ")}`, { allow });
    const refuse = (request: Request, response: Response) => serve(context, request, response, refusal);
    // Else express would give HEAD to what takes GET.
    if (!allow.includes("HEAD")) served.head(refuse);
    served.all(refuse);
  }
  app.use(router);
  if (passOn) return app;
  const notFound = new BelfryError("not_found", "there is nothing at this path");
  app.use((request: Request, response: Response) => serve(context, request, response, notFound));
  // What express itself throws: a path that is not percent-encoded UTF-8.
  const onError: ErrorRequestHandler = (error, request, response, _next) => {
    const malformed = new BelfryError("malformed", "the path is not percent-encoded UTF-8");
    return serve(context, request, response, error instanceof URIError ? malformed : toBelfryError(error));
  };
  app.use(onError);
  return app;
}
