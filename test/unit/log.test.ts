import { describe, expect, it } from "vitest";
import { createLog } from "../../src/log.ts";

function capture() {
  const lines: string[] = [];
  const log = createLog("debug", { write: (line: string) => void lines.push(line) });
  return { log, lines, entry: () => JSON.parse(lines.at(-1) ?? "null") };
}

/** An error as ioredis throws it: with the command that failed, its arguments included. */
function redisError(): Error {
  const command = { name: "evalsha", args: ["belfry:{u:alice}", "s3cret message"] };
  return Object.assign(new Error("ERR failed"), { code: "ERR", command, previousErrors: ["s3cret"] });
}

describe("createLog", () => {
  it("writes one JSON line with level, time and text", () => {
    const { log, lines, entry } = capture();
    log.info({ port: 8080 }, "listening");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
    expect(entry()).toMatchObject({ level: "info", port: 8080, msg: "listening" });
    expect(new Date(entry().time).toISOString()).toBe(entry().time);
  });

  it("writes nothing below its level", () => {
    const { log, lines } = capture();
    log.trace("nothing");
    expect(lines).toEqual([]);
  });

  it.each(["authorization", "cookie", "sec-websocket-protocol", "token", "secret", "password", "data"])(
    "never writes a field called %s",
    (name) => {
      const { log, lines } = capture();
      log.info({ [name]: "s3cret" }, "at the top");
      log.info({ request: { [name]: "s3cret" } }, "one level down");
      log.info({ req: { headers: { [name]: "s3cret" } } }, "among headers");
      log.child({ [name]: "s3cret" }).info("in a child");
      expect(lines).toHaveLength(4);
      expect(lines.join()).not.toContain("s3cret");
      expect(lines.join().match(/\[redacted\]/g)).toHaveLength(4);
    },
  );

  it("writes of an error its type, text, code and place, and nothing of a failed command", () => {
    const { log, lines, entry } = capture();
    log.error({ err: redisError() }, "failed");
    expect(entry().err).toEqual({
      type: "Error",
      message: "ERR failed",
      code: "ERR",
      stack: expect.stringContaining("log.test.ts"),
    });
    expect(lines.join()).not.toContain("s3cret");
  });

  it("writes the text of an error's cause, and nothing of its command either", () => {
    const { log, lines, entry } = capture();
    log.warn({ err: new Error("publish failed", { cause: redisError() }) }, "failed");
    log.warn(new Error("publish failed", { cause: redisError() }));
    expect(entry().err.message).toBe("publish failed: ERR failed");
    expect(lines.join()).not.toContain("s3cret");
  });

  it.each([
    ["a text", "boom", { message: "boom" }],
    ["null", null, { message: "null" }],
    ["a number", 42, { message: "42" }],
    ["an object", { s3cret: 1 }, { message: "[object Object]" }],
  ])("survives that somebody threw %s", (_, thrown, expected) => {
    const { log, entry } = capture();
    log.error({ err: thrown }, "a listener threw");
    expect(entry()).toMatchObject({ msg: "a listener threw" });
    expect(entry().err).toEqual(expected);
  });
});
