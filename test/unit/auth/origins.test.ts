import { describe, expect, it } from "vitest";
import { isOriginAllowed } from "../../../src/auth/origins.ts";
import { readConfig } from "../../../src/config.ts";

const allowed = (origin: string | undefined, list: string) =>
  isOriginAllowed(origin, readConfig({ ALLOWED_ORIGINS: list }).allowedOrigins);

describe("isOriginAllowed", () => {
  it("lets a client in that is no browser", () => {
    expect(allowed(undefined, "https://app.example.com")).toBe(true);
  });

  it("lets everyone in with *, a sandboxed page too", () => {
    expect(allowed("https://evil.example", "*")).toBe(true);
    expect(allowed("null", "https://app.example.com,*")).toBe(true);
  });

  it.each([
    ["https://app.example.com", "https://app.example.com"],
    ["https://app.example.com:443", "https://app.example.com"],
    ["http://localhost:3000", "https://app.example.com,http://localhost:3000"],
    ["http://[::1]:3000", "http://[::1]:3000"],
    ["https://a.example.com", "https://*.example.com"],
    ["https://a.b.example.com", "https://*.example.com"],
    ["https://a.example.com:8443", "https://*.example.com:8443"],
    ["https://a.example.com", "https://*.example.com:443"],
  ])("lets %s in with %s", (origin, list) => {
    expect(allowed(origin, list)).toBe(true);
  });

  it.each([
    ["http://app.example.com", "https://app.example.com"],
    ["https://app.example.com:8443", "https://app.example.com"],
    ["https://app.example.com.evil.example", "https://app.example.com"],
    ["https://evilapp.example.com", "https://app.example.com"],
    ["https://example.com", "https://*.example.com"],
    ["https://evilexample.com", "https://*.example.com"],
    ["https://a.example.com.evil.example", "https://*.example.com"],
    ["http://a.example.com", "https://*.example.com"],
    ["https://a.example.com:8443", "https://*.example.com"],
    ["https://evil.example#.example.com", "https://*.example.com"],
    ["https://evil.example/.example.com", "https://*.example.com"],
    ["null", "https://app.example.com"],
    ["", "https://app.example.com"],
    ["file:///etc/passwd", "https://*.example.com"],
  ])("does not let %s in with %s", (origin, list) => {
    expect(allowed(origin, list)).toBe(false);
  });
});
