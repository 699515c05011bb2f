import { describe, expect, it } from "vitest";
import { parseRedisUrl } from "../../src/redis-url.ts";

const plain = {
  kind: "standalone",
  hosts: [{ host: "redis", port: 6379 }],
  tls: false,
  username: undefined,
  password: undefined,
  db: 0,
  master: "",
  sentinelUsername: undefined,
  sentinelPassword: undefined,
};

describe("parseRedisUrl", () => {
  it.each([
    ["redis://redis", {}],
    ["redis://redis/", {}],
    ["redis://redis:6380/15", { hosts: [{ host: "redis", port: 6380 }], db: 15 }],
    ["redis://[::1]:6380", { hosts: [{ host: "::1", port: 6380 }] }],
    ["rediss://redis", { tls: true }],
    ["redis://:p%40ss%2F@redis", { password: "p@ss/" }],
    ["redis://me:secret@redis", { username: "me", password: "secret" }],
    ["redis://me@redis", { username: "me" }],
    [
      "redis+sentinel://a,b:26380/main",
      {
        kind: "sentinel",
        hosts: [
          { host: "a", port: 26379 },
          { host: "b", port: 26380 },
        ],
        master: "main",
      },
    ],
    [
      "rediss+sentinel://me:secret@a/main/3?sentinelUsername=s&sentinelPassword=p%26q+r",
      {
        kind: "sentinel",
        hosts: [{ host: "a", port: 26379 }],
        tls: true,
        username: "me",
        password: "secret",
        db: 3,
        master: "main",
        sentinelUsername: "s",
        sentinelPassword: "p&q+r",
      },
    ],
    [
      "redis+cluster://:secret@a:7000,b",
      {
        kind: "cluster",
        hosts: [
          { host: "a", port: 7000 },
          { host: "b", port: 6379 },
        ],
        password: "secret",
      },
    ],
    ["redis+cluster://redis/0", { kind: "cluster" }],
  ])("reads %s", (url, expected) => {
    expect(parseRedisUrl(url)).toEqual({ ...plain, ...expected });
  });

  it.each([
    "",
    "redis",
    "redis:redis",
    "redis://",
    "redis://a,b",
    "redis://redis/x",
    "redis://redis/0/1",
    "redis://redis:0",
    "redis://redis:65536",
    "redis://redis:x",
    "redis://redis?family=6",
    "redis://%ZZ@redis",
    "redis+sentinel://a/main?sentinelPassword=%ZZ",
    "redis://redis#0",
    "http://redis",
    "sentinel://a/main",
    "redis+sentinel://a",
    "redis+sentinel://a/",
    "redis+sentinel://a,/main",
    "redis+sentinel://a/main/x",
    "redis+sentinel://a/main?password=x",
    "redis+cluster://a/1",
    "redis+cluster://a?sentinelPassword=x",
  ])("refuses %j", (url) => {
    expect(parseRedisUrl(url)).toBeUndefined();
  });
});
