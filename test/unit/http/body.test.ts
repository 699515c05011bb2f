import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { readJson } from "../../../src/http/body.ts";
import { settled } from "../../support/fake-broker.ts";

const json = { "content-type": "application/json" };

/** A request whose body has not come yet. */
function request(headers: Record<string, string> = json) {
  return Object.assign(new PassThrough(), { headers }) as PassThrough & IncomingMessage;
}

/** Reads a body that is sent whole. */
function read(body: string | Buffer, headers: Record<string, string> = json, maxBytes = 100) {
  const incoming = request(headers);
  const result = readJson(incoming, maxBytes);
  incoming.end(body);
  return result;
}

describe("readJson", () => {
  it("gives the value and the text it was read from", async () => {
    expect(await read(' {"n": -0.0}\n')).toEqual({ value: { n: -0 }, text: ' {"n": -0.0}\n' });
  });

  it("puts a character together that arrives in two pieces", async () => {
    const incoming = request();
    const result = readJson(incoming, 100);
    const bytes = Buffer.from('"😀"');
    incoming.write(bytes.subarray(0, 3));
    await settled();
    incoming.end(bytes.subarray(3));
    expect((await result).value).toBe("😀");
  });

  it.each([
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
    "application/json; charset=utf8; profile=x",
    "application/ld+json",
  ])("takes %s", async (type) => {
    expect((await read("1", { "content-type": type })).value).toBe(1);
  });

  it.each([
    ["no type", {}],
    ["text", { "content-type": "text/plain" }],
    ["a form, as a foreign page could send", { "content-type": "application/x-www-form-urlencoded" }],
    ["a type that begins alike", { "content-type": "application/jsonp" }],
    ["another charset", { "content-type": "application/json; charset=latin1" }],
    ["compression", { ...json, "content-encoding": "gzip" }],
  ])("takes no body with %s", async (_, headers) => {
    await expect(read("1", headers as Record<string, string>)).rejects.toMatchObject({
      code: "unsupported_media_type",
    });
  });

  it("takes as many bytes as allowed and no more", async () => {
    expect((await read('"ü"', json, 4)).value).toBe("ü");
    await expect(read('"ü" ', json, 4)).rejects.toMatchObject({ code: "too_large" });
  });

  it("refuses a body that says it is too large before any of it comes", async () => {
    const incoming = request({ ...json, "content-length": "101" });
    await expect(readJson(incoming, 100)).rejects.toMatchObject({ code: "too_large" });
  });

  it("refuses a body without a length as soon as it is too large, and goes on reading", async () => {
    const incoming = request();
    const result = readJson(incoming, 3);
    incoming.write("1234");
    await expect(result).rejects.toMatchObject({ code: "too_large" });
    incoming.write("5".repeat(1_000_000));
    await settled();
    expect(incoming.readableLength).toBe(0);
  });

  it("refuses bytes that are not UTF-8", async () => {
    await expect(read(Buffer.from([0x22, 0xff, 0x22]))).rejects.toMatchObject({ code: "malformed" });
  });

  it.each(["", " ", "{", '{"a":1,}', "hello", "{'a':1}", "1 2", "\ufeff1", '{"s3cret":s3cret}', '"s3cret'])(
    "refuses %j without repeating it",
    async (text) => {
      const error = await read(text).catch((thrown: unknown) => thrown as Error & { code: string });
      expect(error).toMatchObject({ code: "malformed" });
      expect((error as Error).message).toMatch(/^the body is not JSON: \S/);
      expect((error as Error).message).not.toContain("s3cret");
    },
  );

  it.each([undefined, new Error("ECONNRESET")])("does not wait for a body that broke off", async (error) => {
    const incoming = request();
    const result = readJson(incoming, 100);
    incoming.write('{"a":');
    await settled();
    incoming.on("error", () => {});
    incoming.destroy(error);
    await expect(result).rejects.toMatchObject({ code: "malformed", message: "the body broke off" });
  });
});
