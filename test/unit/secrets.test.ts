import { describe, expect, it } from "vitest";
import { hush, SecretWatch } from "../support/secrets.ts";
import { sign } from "../support/tokens.ts";

describe("what watches over secrets in the tests", () => {
  it("takes secrets that are recognized, and no others", () => {
    const watch = new SecretWatch();
    watch.check([hush("k1"), undefined]);
    expect(() => watch.check([hush("k1"), "k2"])).toThrow("k2");
  });

  it("finds keys, tokens, and the data and credentials of requests, however they are quoted", async () => {
    const watch = new SecretWatch();
    watch.remember({ data: { private: "words" } }, "Bearer wrong-key");
    watch.remember({ messages: [{ to: "broadcast", data: "in a batch" }, "nonsense"] }, undefined);
    const leaks = [
      `{"key":"${hush("k1")}"}`,
      `{"msg":"token ${await sign()} refused"}`,
      '{"body":{"private":"words"}}',
      JSON.stringify({ detail: JSON.stringify({ private: "words" }) }),
      '{"msg":"no such key: wrong-key"}',
      '{"msg":"what is in a batch"}',
    ];
    for (const text of leaks) expect(() => watch.expectNone("the logs", [text])).toThrow("the logs");
    watch.expectNone("the logs", ['{"level":"info","msg":"Belfry is listening"}', ""]);
  });

  it("does not mind short data, which stands anywhere", () => {
    const watch = new SecretWatch();
    watch.remember({ data: 1 }, undefined);
    watch.remember(undefined, undefined);
    watch.expectNone("the logs", ['{"n":1}']);
  });
});
