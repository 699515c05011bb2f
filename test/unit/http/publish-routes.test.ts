import { describe, expect, it } from "vitest";
import { draftOf, publishRoutes } from "../../../src/http/publish-routes.ts";
import type { Hub } from "../../../src/hub/hub.ts";

const routes = publishRoutes({} as Hub, 1000);
const count = (path: string, value: unknown) =>
  routes.find((route) => route.path === path)?.body?.countMessages?.(value);

describe("what counts against a key's limit", () => {
  it.each(["/broadcast", "/users/:id/messages"])("is one message for %s", (path) => {
    expect(count(path, { data: [1, 2, 3] })).toBe(1);
  });

  it("is each message of a batch", () => {
    expect(count("/batch", { messages: [1, 2, 3] })).toBe(3);
    expect(count("/batch", { messages: [] })).toBe(0);
  });
});

describe("draftOf", () => {
  it("takes the data as it is written, and the rest as it was checked", () => {
    const text = '{"ttl":5,"data":1,"event":"e","d\\u0061ta" : [ 1e400,{"data":2} ],"collapse":"c"}';
    const draft = { json: '[ 1e400,{"data":2} ]', event: "e", ttl: 5, collapse: "c" };
    expect(draftOf({ data: undefined, event: "e", ttl: 5, collapse: "c" }, text)).toEqual(draft);
  });

  it("takes the data that stands where it is told", () => {
    expect(draftOf({ data: 2 }, '[{"data":1},{"data":2}]', [20, 21])).toMatchObject({ json: "2" });
  });
});
