import { Duplex } from "node:stream";
import { describe, expect, it } from "vitest";
import { BelfryError } from "../../src/errors.ts";
import { refuse } from "../../src/raw-http.ts";

describe("refuse", () => {
  it("does not mind that the client breaks off before it has the answer", async () => {
    const socket = new Duplex({ write: (_chunk, _encoding, done) => done(new Error("write ECONNRESET")) });
    refuse(socket, new BelfryError("method_not_allowed", "this is no proxy"));
    await new Promise((resolve) => socket.once("close", resolve));
    expect(socket.errored).toMatchObject({ message: "write ECONNRESET" });
  });
});
