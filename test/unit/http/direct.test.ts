import type { IncomingMessage, ServerResponse } from "node:http";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { EndpointContext } from "../../../src/http/endpoint.ts";
import type { Route } from "../../../src/http/route.ts";

const serve = vi.hoisted(() => vi.fn());
vi.mock("../../../src/http/endpoint.ts", () => ({ serve }));
const { serveDirectly } = await import("../../../src/http/direct.ts");

const route = (method: Route["method"], path: string) => ({ method, path }) as Route;
const routes = [
  route("post", "/broadcast"),
  route("get", "/broadcast"),
  route("post", "/users/:id/messages"),
  route("get", "/users/:id"),
];
const app = vi.fn();

beforeEach(() => {
  serve.mockReset();
  app.mockReset();
});

function request(method: string, url: string): void {
  const listener = serveDirectly({} as EndpointContext, routes, app);
  listener({ method, url } as IncomingMessage & { req: never }, {} as ServerResponse & { req: never });
}

describe("serveDirectly", () => {
  it.each([
    ["/broadcast", "/broadcast", {}],
    ["/broadcast?x=1", "/broadcast", {}],
    ["/users/alice/messages", "/users/:id/messages", { id: "alice" }],
    ["/users/a%2Fb%20%C3%A4/messages?x", "/users/:id/messages", { id: "a/b ä" }],
    ["http://host/users/a%2Fb/messages?x", "/users/:id/messages", { id: "a/b" }],
  ])("serves POST %s", (url, path, params) => {
    request("POST", url);
    expect(app).not.toHaveBeenCalled();
    expect(serve.mock.calls.map(([, , , found, given]) => [found.method, found.path, given])).toEqual([
      ["post", path, params],
    ]);
  });

  it.each(["http://[::/broadcast", "ftp://host/broadcast", "host:80", ""])("refuses the target %j by itself", (url) => {
    for (const method of ["GET", "POST"]) request(method, url);
    expect(app).not.toHaveBeenCalled();
    const refusal = expect.objectContaining({ code: "malformed" });
    expect(serve.mock.calls.map(([, , , found]) => found)).toEqual([refusal, refusal]);
  });

  it.each([
    ["GET", "/broadcast"],
    ["POST", "/broadcast/"],
    ["POST", "/Broadcast"],
    ["POST", "/users//messages"],
    ["POST", "/users/a/b/messages"],
    ["POST", "/users/%ff/messages"],
    ["POST", "/users/alice"],
    ["DELETE", "/users/alice/messages"],
  ])("leaves %s %s to express", (method, url) => {
    request(method, url);
    expect(serve).not.toHaveBeenCalled();
    expect(app).toHaveBeenCalledOnce();
  });
});
