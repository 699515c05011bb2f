import { describe, expect, it } from "vitest";
import { historyRoutes } from "../../../src/http/history-routes.ts";
import { describeApi } from "../../../src/http/openapi.ts";
import { healthRoutes, operationsRoutes } from "../../../src/http/operations-routes.ts";
import { publishRoutes } from "../../../src/http/publish-routes.ts";
import type { Route } from "../../../src/http/route.ts";
import { sseRoutes } from "../../../src/http/sse-routes.ts";
import { userRoutes } from "../../../src/http/user-routes.ts";
import type { Hub } from "../../../src/hub/hub.ts";
import type { Metrics } from "../../../src/metrics.ts";
import type { Sse } from "../../../src/sse/sse.ts";
import { FakeBroker } from "../../support/fake-broker.ts";

interface Operation {
  operationId: string;
  security: unknown[];
  parameters?: { name: string; in: string }[];
  requestBody?: unknown;
  responses: Record<string, { content?: Record<string, unknown> }>;
}

/** Describing calls no handler, so nothing stands behind the routes. */
const hub = {} as Hub;
const routes: Route[] = [
  ...healthRoutes(new FakeBroker(), () => false),
  ...publishRoutes(hub, 1000),
  ...userRoutes(hub),
  ...sseRoutes({} as Sse, 1000),
  ...historyRoutes(hub),
  ...operationsRoutes(hub, {} as Metrics),
];
const document = JSON.parse(JSON.stringify(describeApi(routes, "1.2.3")));
const operation = ({ path, method }: Pick<Route, "path" | "method">): Operation =>
  document.paths[path.replace(/:(\w+)/g, "{$1}")][method];

/** Every `$ref` in a document. */
function references(node: unknown): string[] {
  if (typeof node !== "object" || node === null) return [];
  const own = "$ref" in node && typeof node.$ref === "string" ? [node.$ref] : [];
  return [...own, ...Object.values(node).flatMap(references)];
}

describe("describeApi", () => {
  it("says what it is", () => {
    expect(document).toMatchObject({ openapi: "3.1.0", info: { version: "1.2.3" } });
  });

  it("has every route and nothing else", () => {
    const described = Object.entries(document.paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(described.toSorted()).toEqual(
      routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`).toSorted(),
    );
  });

  it("refers to nothing that is not there", () => {
    const found = new Set(references(document));
    expect(found.size).toBeGreaterThan(5);
    for (const reference of found) {
      const parts = reference.replace(/^#\//, "").split("/");
      const target = parts.reduce((node: Record<string, unknown> | undefined, part) => node?.[part] as never, document);
      expect(target, reference).toBeTypeOf("object");
    }
  });

  it.each(routes)("describes $method $path: key, path, body and problems", (route) => {
    const { security, parameters = [], requestBody, responses } = operation(route);
    expect(security).toEqual(route.right ? [{ apiKey: [] }, {}] : []);
    const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name);
    const asked = Object.keys(route.query?.shape ?? {});
    expect(parameters.map(({ name, in: place }) => [name, place])).toEqual([
      ...names.map((name) => [name, "path"]),
      ...asked.map((name) => [name, "query"]),
    ]);
    expect(requestBody !== undefined).toBe(route.body !== undefined);
    const statuses = Object.keys(responses);
    expect(statuses).toContain(String(route.answer.status));
    if (route.right) expect(statuses).toEqual(expect.arrayContaining(["401", "403", "503"]));
    if (route.body) expect(statuses).toEqual(expect.arrayContaining(["400", "413", "415", "422", "429"]));
    for (const [status, { content }] of Object.entries(responses)) {
      if (Number(status) >= 400) expect(Object.keys(content ?? {})).toEqual(["application/problem+json"]);
    }
  });

  it("says what a publish that waits answers, and what a request and a message that is not there do", () => {
    const post = { method: "post" } as const;
    for (const path of ["/broadcast", "/users/:id/messages", "/topics/:topic/messages"]) {
      const { responses, parameters = [] } = operation({ ...post, path });
      expect(responses["200"]?.content).toEqual({
        "application/json": { schema: { $ref: "#/components/schemas/Acks" } },
      });
      expect(parameters.filter((one) => one.in === "query").map(({ name }) => name)).toEqual(["wait", "timeout"]);
    }
    expect(Object.keys(operation({ ...post, path: "/users/:id/requests" }).responses)).toEqual(
      expect.arrayContaining(["200", "404", "504"]),
    );
    expect(operation({ method: "get", path: "/messages/:id" }).responses).toHaveProperty("404");
  });

  it("gives every operation an id of its own", () => {
    const ids = routes.map((route) => operation(route).operationId);
    expect(new Set(ids).size).toBe(routes.length);
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z]+$/);
  });

  it("says in the schemas what the service checks", () => {
    const { Message, Batch } = document.components.schemas;
    expect(Message).toMatchObject({ required: ["data"], additionalProperties: false });
    expect(Message.properties.event).toMatchObject({ type: "string", minLength: 1, maxLength: 128 });
    expect(Message.properties.ttl).toMatchObject({ type: "number", minimum: 0, maximum: 365 * 86400 });
    expect(Batch.properties.messages).toMatchObject({ type: "array", maxItems: 1000 });
  });

  it("says of a batch that its messages may be anything: what is wrong is answered in its place", () => {
    const { anyOf } = document.components.schemas.Batch.properties.messages.items;
    expect(anyOf).toEqual([{ $ref: "#/components/schemas/AddressedMessage" }, {}]);
  });

  it("says what the ids of each stream look like that history is read behind", () => {
    const ids = [
      "b-k3f9a1-0",
      "u-k3f9a1-17",
      "t-k3f9a1-1",
      "b-k3f9a1-01",
      "l-k3f9a1-1",
      "",
      "b-k3f9a1-9999999999999999",
    ];
    const pages = historyRoutes(hub).filter(({ query }) => query);
    const taken = pages.map(({ path, query }) => {
      const { schema } = document.paths[path.replace(/:(\w+)/g, "{$1}")].get.parameters.find(
        ({ name }: { name: string }) => name === "after",
      );
      const described = ids.filter((id) => new RegExp(schema.pattern, "u").test(id));
      expect(ids.filter((id) => query?.safeParse({ after: id }).success)).toEqual(described);
      return described;
    });
    expect(taken).toEqual([["b-k3f9a1-0"], ["u-k3f9a1-17"], ["t-k3f9a1-1"]]);
  });
});
