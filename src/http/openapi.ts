import { z } from "zod";
import type { Route } from "./route.ts";
import { answers } from "./schemas.ts";

type Json = Record<string, unknown>;

/** Statuses that a route may answer besides its own, and when. */
function problems(route: Route): Record<string, string> {
  return {
    ...(route.body && { 400: "The body is not JSON." }),
    ...(route.path.includes(":") && { 400: "The path is not percent-encoded UTF-8, or the body is not JSON." }),
    ...(route.right && { 401: "No valid API key.", 403: `The key lacks the right "${route.right}".` }),
    ...((route.path.includes(":") || route.query) && { 414: "Path and query are longer than 4,096 bytes." }),
    ...(route.body && { 413: "Too large.", 415: "Not application/json.", 422: "Not valid." }),
    ...((route.path.includes(":") || route.query) && { 422: "Not valid." }),
    ...(route.body?.countMessages && { 429: "More than the key may publish; see Retry-After." }),
    ...(route.answer.status === 101 && {
      400: "Malformed handshake.",
      401: "No credentials.",
      403: "Refused origin.",
      414: "Path and query are longer than 4,096 bytes.",
      426: "No handshake.",
    }),
    ...(route.cors && { 403: "Refused origin." }),
    ...(route.cors && route.method === "get" && { 400: "What to resume is malformed.", 401: "No valid credentials." }),
    ...(route.cors &&
      route.body && { 404: "No such connection with this secret.", 429: "Too many frames; see Retry-After." }),
    ...((route.right || ["/readyz", "/ws", "/sse", "/sse/:connection"].includes(route.path)) && {
      503: "Temporarily unavailable; see Retry-After.",
    }),
    ...route.problems,
  };
}

/** `GET /openapi.json`, which describes the given routes and itself. */
export function openapiRoute(routes: readonly Route[], version: string): Route {
  const route: Route = {
    method: "get",
    path: "/openapi.json",
    summary: "This description.",
    answer: { status: 200, description: "OpenAPI 3.1." },
    handle: () => ({ status: 200, body: description }),
  };
  const description = describeApi([...routes, route], version);
  return route;
}

/** The description of the API, made of the schemas that check it. */
export function describeApi(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method]: describeRoute(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Belfry publisher API",
      version,
      description: "Send messages to connected clients, and look at who is connected.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas: namedSchemas(),
      securitySchemes: {
        apiKey: { type: "http", scheme: "bearer", description: "A key of API_KEYS or API_KEYS_FILE, when set." },
      },
    },
  };
}

/** Every schema that has an id, by that id; where one holds another, it refers to it. */
function namedSchemas(): Record<string, Json> {
  const uri = (id: string) => `#/components/schemas/${id}`;
  const { schemas } = z.toJSONSchema(z.globalRegistry, { uri, io: "input" });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema, $id, id, ...schema }]) => [name, schema as Json]),
  );
}

function reference(schema: z.ZodType): Json {
  return { $ref: `#/components/schemas/${schema.meta()?.["id"]}` };
}

function describeRoute(route: Route): Json {
  const responses: Record<string, Json> = {};
  for (const { status, description, schema } of [route.answer, ...(route.otherAnswer ? [route.otherAnswer] : [])]) {
    const content = schema && { content: { "application/json": { schema: reference(schema) } } };
    responses[status] = { description, ...content };
  }
  const problem = { "application/problem+json": { schema: reference(answers.problem) } };
  for (const [code, when] of Object.entries(problems(route))) responses[code] = { description: when, content: problem };
  const parameters: Json[] = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    description: "1 to 128 characters, percent-encoded.",
    schema: { type: "string", minLength: 1, maxLength: 128 },
  }));
  const { properties = {} } = route.query
    ? (z.toJSONSchema(route.query, { io: "input" }) as { properties?: Json })
    : {};
  for (const [name, { description: about, ...schema }] of Object.entries(properties as Record<string, Json>)) {
    parameters.push({ name, in: "query", required: false, description: String(about), schema });
  }
  return {
    operationId: `${route.method}${route.path.replace(/[/:]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: route.summary,
    security: route.right ? [{ apiKey: [] }, {}] : [],
    ...(parameters.length > 0 && { parameters }),
    ...(route.body && {
      requestBody: { required: true, content: { "application/json": { schema: reference(route.body.schema) } } },
    }),
    responses,
  };
}
