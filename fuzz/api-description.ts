import type { Schema } from "./json-schema.ts";

/** A call of the API, as the service itself describes it. */
export interface Operation {
  readonly method: string;
  /** With parameters in braces: `/users/{id}/messages`. */
  readonly path: string;
  readonly query: readonly string[];
  readonly body: Schema | undefined;
}

/** All calls, and the schemas that they refer to. */
export interface ApiDescription {
  readonly operations: readonly Operation[];
  readonly schemas: Readonly<Record<string, Schema>>;
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface OpenApiOperation {
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

/** Reads what `/openapi.json` answers. */
export function readDescription(text: string): ApiDescription {
  const { paths, components } = JSON.parse(text) as OpenApi;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      query: parameters.filter((parameter) => parameter.in === "query").map(({ name }) => name),
      body: requestBody?.content["application/json"]?.schema,
    })),
  );
  return { operations, schemas: components.schemas };
}
