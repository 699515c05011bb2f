import { describe, expect, it } from "vitest";
import { BelfryError, type ErrorCode, toBelfryError } from "../../src/errors.ts";

describe("BelfryError", () => {
  it.each([
    ["malformed", 400, "debug"],
    ["unauthorized", 401, "debug"],
    ["forbidden", 403, "debug"],
    ["not_found", 404, "debug"],
    ["method_not_allowed", 405, "debug"],
    ["too_large", 413, "debug"],
    ["unsupported_media_type", 415, "debug"],
    ["invalid", 422, "debug"],
    ["too_many", 429, "debug"],
    ["internal", 500, "error"],
    ["unavailable", 503, "debug"],
    ["no_reply", 504, "debug"],
  ] satisfies [ErrorCode, number, string][])("%s answers with %i and is logged as %s", (code, status, level) => {
    const error = new BelfryError(code, "what happened");
    expect(error).toMatchObject({ name: "BelfryError", code, status, level, message: "what happened" });
    expect(error.toProblem()).toMatchObject({ type: `urn:belfry:error:${code}`, status, detail: "what happened" });
    expect(error.toProblem().title).toMatch(/^[A-Z]/);
  });

  it("lists what is wrong with an input", () => {
    const errors = [{ path: "ttl", message: "too small" }];
    expect(new BelfryError("invalid", "no", { errors }).toProblem().errors).toEqual(errors);
    expect(new BelfryError("invalid", "no").toProblem()).not.toHaveProperty("errors");
  });

  it("keeps its cause for the log and out of the answer", () => {
    const cause = new Error("WRONGPASS s3cret");
    const error = new BelfryError("unavailable", "Redis did not answer", { cause });
    expect(error.cause).toBe(cause);
    expect(JSON.stringify(error.toProblem())).not.toContain("s3cret");
    expect("cause" in new BelfryError("internal", "no")).toBe(false);
  });

  it("brings the headers along that belong to it", () => {
    expect(new BelfryError("too_many", "slow down", { retryAfterSeconds: 3 }).toHeaders()).toEqual({
      "Retry-After": "3",
    });
    expect(new BelfryError("method_not_allowed", "no", { allow: ["GET", "HEAD"] }).toHeaders()).toEqual({
      Allow: "GET, HEAD",
    });
    expect(new BelfryError("unauthorized", "who?").toHeaders()).toEqual({ "WWW-Authenticate": "Bearer" });
    expect(new BelfryError("upgrade_required", "no").toHeaders()).toEqual({
      Upgrade: "websocket",
      Connection: "Upgrade, close",
      "Sec-WebSocket-Version": "13",
    });
    expect(new BelfryError("internal", "no").toHeaders()).toEqual({});
  });
});

describe("toBelfryError", () => {
  it("leaves a BelfryError as it is", () => {
    const error = new BelfryError("invalid", "no");
    expect(toBelfryError(error)).toBe(error);
  });

  it.each([new Error("s3cret"), "s3cret", null, undefined, { message: "s3cret" }])(
    "makes %j an internal error that says nothing of it",
    (thrown) => {
      const error = toBelfryError(thrown);
      expect(error.code).toBe("internal");
      expect(error.cause).toBe(thrown);
      expect(JSON.stringify(error.toProblem()) + error.message).not.toContain("s3cret");
    },
  );
});
