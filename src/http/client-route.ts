import { existsSync, readFileSync } from "node:fs";
import { BelfryError } from "../errors.ts";
import type { Route } from "./route.ts";

/** Where the build puts the client as one module: beside this directory, or in `dist` when this runs from the sources. */
const places = ["../client.min.js", "../../dist/client.min.js"].map((path) => new URL(path, import.meta.url));

/** How long browsers may use the module before they ask for it again, in seconds. */
const maxAgeSeconds = 3600;

/** Serves the client as one ES module, to pages of every origin: there is nothing secret in it. */
export function clientRoute(): Route {
  const file = places.find((place) => existsSync(place));
  const body = file && readFileSync(file, "utf8");
  return {
    method: "get",
    path: "/client.js",
    summary: "The client for browsers, as one ES module.",
    answer: { status: 200, description: "JavaScript." },
    handle: () => {
      if (body === undefined) throw new BelfryError("not_found", "the client is not built; npm run build does that");
      const headers = { "Cache-Control": `public, max-age=${maxAgeSeconds}`, "Access-Control-Allow-Origin": "*" };
      return { status: 200, body, contentType: "text/javascript; charset=utf-8", headers };
    },
  };
}
