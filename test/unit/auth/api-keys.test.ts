import { describe, expect, it } from "vitest";
import { ApiKeys } from "../../../src/auth/api-keys.ts";
import type { ApiKeyConfig } from "../../../src/config-values.ts";

const keys: ApiKeyConfig[] = [
  { name: "shop", secret: "one", rights: ["publish", "read", "admin"] },
  { name: "audit", secret: "two", rights: ["read"] },
];
const withCode = (code: string) => expect.objectContaining({ code });

describe("ApiKeys", () => {
  it("finds the key of a request, wherever it stands in the list", () => {
    const api = new ApiKeys(keys);
    expect(api.authorize("Bearer one", "admin").name).toBe("shop");
    expect(api.authorize("bearer two", "read").name).toBe("audit");
  });

  it.each([undefined, "", "one", "Basic one", "Bearer", "Bearer on", "Bearer onee", "Bearer ONE", "Bearer shop"])(
    "does not take %j for a key",
    (header) => {
      expect(() => new ApiKeys(keys).authorize(header, "read")).toThrow(withCode("unauthorized"));
    },
  );

  it.each(["publish", "admin"] as const)("refuses a key without the right to %s", (right) => {
    expect(() => new ApiKeys(keys).authorize("Bearer two", right)).toThrow(withCode("forbidden"));
  });

  it("is open to everyone without any key configured, and to nobody with an empty list", () => {
    expect(new ApiKeys(undefined).authorize(undefined, "admin").name).toBe("open");
    expect(() => new ApiKeys([]).authorize("Bearer one", "read")).toThrow(withCode("unauthorized"));
  });

  it("may be replaced: then only the new ones are valid", () => {
    const api = new ApiKeys(keys);
    api.replace([{ name: "shop", secret: "new", rights: ["read"] }]);
    expect(api.authorize("Bearer new", "read").name).toBe("shop");
    expect(() => api.authorize("Bearer one", "read")).toThrow(withCode("unauthorized"));
  });
});
