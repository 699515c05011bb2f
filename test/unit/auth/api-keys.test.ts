import { describe, expect, it, vi } from "vitest";
import { ApiKeys } from "../../../src/auth/api-keys.ts";
import type { ApiKeyConfig } from "../../../src/config-values.ts";

const keys: ApiKeyConfig[] = [
  { name: "shop", secret: "one", rights: ["publish", "read", "admin"] },
  { name: "audit", secret: "two", rights: ["read"] },
];
const withCode = (code: string) => expect.objectContaining({ code });

describe("ApiKeys", () => {
  it("finds the key of a request, wherever it stands in the list", () => {
    const api = new ApiKeys(keys, undefined);
    expect(api.authorize("Bearer one", "admin").name).toBe("shop");
    expect(api.authorize("bearer two", "read").name).toBe("audit");
  });

  it.each([undefined, "", "one", "Basic one", "Bearer", "Bearer on", "Bearer onee", "Bearer ONE", "Bearer shop"])(
    "does not take %j for a key",
    (header) => {
      expect(() => new ApiKeys(keys, undefined).authorize(header, "read")).toThrow(withCode("unauthorized"));
    },
  );

  it.each(["publish", "admin"] as const)("refuses a key without the right to %s", (right) => {
    expect(() => new ApiKeys(keys, undefined).authorize("Bearer two", right)).toThrow(withCode("forbidden"));
  });

  it("is open to everyone without any key configured, and to nobody with an empty list", () => {
    expect(new ApiKeys(undefined, undefined).authorize(undefined, "admin").name).toBe("open");
    expect(() => new ApiKeys([], undefined).authorize("Bearer one", "read")).toThrow(withCode("unauthorized"));
  });

  it("counts the messages of each key on their own and says when to come back", () => {
    const now = vi.spyOn(performance, "now").mockReturnValue(0);
    const api = new ApiKeys([...keys, { name: "other", secret: "three", rights: ["publish"] }], 10);
    const shop = api.authorize("Bearer one", "publish");
    shop.countPublishes(10);
    const refusal = expect.objectContaining({ code: "too_many", retryAfterSeconds: 1 });
    expect(() => shop.countPublishes(1)).toThrow(refusal);
    expect(() => api.authorize("Bearer one", "publish").countPublishes(1)).toThrow(refusal);
    api.authorize("Bearer three", "publish").countPublishes(10);
    now.mockReturnValue(1000);
    shop.countPublishes(1);
  });

  it("limits the open API as well", () => {
    vi.spyOn(performance, "now").mockReturnValue(0);
    const api = new ApiKeys(undefined, 1);
    api.authorize(undefined, "publish").countPublishes(1);
    expect(() => api.authorize(undefined, "publish").countPublishes(1)).toThrow(withCode("too_many"));
  });

  it("does not count without a limit", () => {
    const key = new ApiKeys(keys, undefined).authorize("Bearer one", "publish");
    for (let i = 0; i < 1000; i++) key.countPublishes(1000);
    expect(key.name).toBe("shop");
  });
});
