import proxyAddr from "proxy-addr";
import { describe, expect, it } from "vitest";
import { ConfigError, readConfig } from "../../src/config.ts";

const refused = (env: Record<string, string>) => expect(() => readConfig(env)).toThrow(ConfigError);

describe("API_KEYS", () => {
  it("are secrets, named secrets, and named secrets with rights", () => {
    const { apiKeys } = readConfig({ API_KEYS: "one, shop:two ,audit:three:read,ops:four:publish+admin" });
    expect(apiKeys).toEqual([
      { name: "key1", secret: "one", rights: ["publish", "read", "admin"] },
      { name: "shop", secret: "two", rights: ["publish", "read", "admin"] },
      { name: "audit", secret: "three", rights: ["read"] },
      { name: "ops", secret: "four", rights: ["publish", "admin"] },
    ]);
  });

  it.each([
    ["an empty entry", "a,,b"],
    ["no name", ":secret"],
    ["no secret", "name:"],
    ["four parts", "a:b:read:admin"],
    ["an unknown right", "a:b:write"],
    ["no right", "a:b:"],
    ["a secret with a space, which no bearer token can carry", "a:b c"],
    ["a secret with a letter that no header can carry", "a:schlüssel"],
    ["a right that every object has", "a:b:constructor"],
  ])("with %s are refused", (_, value) => {
    refused({ API_KEYS: value });
  });
});

describe("ALLOWED_ORIGINS", () => {
  it("are written as browsers write them, whatever the case and the port", () => {
    const { allowedOrigins } = readConfig({ ALLOWED_ORIGINS: "HTTPS://App.Example.com:443, http://[::1]:3000" });
    expect(allowedOrigins).toEqual([
      { kind: "exact", origin: "https://app.example.com" },
      { kind: "exact", origin: "http://[::1]:3000" },
    ]);
  });

  it("may stand for all subdomains", () => {
    const { allowedOrigins } = readConfig({ ALLOWED_ORIGINS: "https://*.Example.com,http://*.example.com:8080" });
    expect(allowedOrigins).toEqual([
      { kind: "subdomains", scheme: "https", suffix: ".example.com" },
      { kind: "subdomains", scheme: "http", suffix: ".example.com:8080" },
    ]);
  });

  it("for all subdomains leave a default port out, as browsers do", () => {
    const { allowedOrigins } = readConfig({ ALLOWED_ORIGINS: "https://*.example.com:443" });
    expect(allowedOrigins).toEqual([{ kind: "subdomains", scheme: "https", suffix: ".example.com" }]);
  });

  it.each([
    "app.example.com",
    "https://",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://user@app.example.com",
    "wss://app.example.com",
    "https://app.*.com",
    "https://*",
    "null",
    "https://app.example.com,",
    "https://app.example.com:99999",
    "https://*.example.com:99999",
    "https://[::::]",
  ])("%s is refused", (value) => {
    refused({ ALLOWED_ORIGINS: value });
  });
});

describe("TRUST_PROXY", () => {
  it.each([
    ["false", false],
    ["0", false],
    ["1", 1],
    ["loopback", ["loopback"]],
    ["10.0.0.0/8, fd00::/8 ,192.168.1.1", ["10.0.0.0/8", "fd00::/8", "192.168.1.1"]],
    ["::ffff:10.0.0.1", ["::ffff:10.0.0.1"]],
  ])("%s is understood", (value, expected) => {
    const { trustProxy } = readConfig({ TRUST_PROXY: value });
    expect(trustProxy).toEqual(expected);
    if (typeof trustProxy === "object") expect(() => proxyAddr.compile([...trustProxy])).not.toThrow();
  });

  it.each([
    "true",
    "all",
    "abc",
    "1.2.3",
    "1000",
    "-1",
    "10.0.0.0/33",
    "::1/129",
    "10.0.0.0/",
    "0.0.0.0/0",
    "10.0.0.1,,10.0.0.2",
  ])("%s is refused", (value) => {
    refused({ TRUST_PROXY: value });
  });
});
