import { basename } from "node:path";
import { createInterface } from "node:readline";
import { Child } from "../chaos/child.ts";
import type { Endpoint } from "../src/load/endpoint.ts";
import { cores, onCore } from "./machine.ts";

/** How long a server may take to listen, in ms. */
const startTimeoutMs = 30_000;

/** Most lines of a server's output that an error shows. */
const maxShownLines = 20;

/** A server that runs for one measurement. */
export class ServerProcess {
  readonly endpoint: Endpoint;
  readonly #child: Child;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.endpoint = { address: "127.0.0.1", port, host: `127.0.0.1:${port}` };
  }

  /** Starts a program that prints a line of JSON with the port it listens on. */
  static async start(
    command: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<ServerProcess> {
    const child = new Child(...onCore(cores.server, command, args), {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const listening = Promise.withResolvers<number>();
    const lines: string[] = [];
    const fail = (what: string) =>
      listening.reject(new Error(`${basename(args[0] ?? "")} ${what}\n${lines.join("\n")}`));
    for (const input of [child.process.stdout, child.process.stderr]) {
      if (!input) continue;
      createInterface({ input }).on("line", (line) => {
        lines.push(line);
        if (lines.length > maxShownLines) lines.shift();
        const port = /"port":(\d+)/.exec(line)?.[1];
        if (port !== undefined) listening.resolve(Number(port));
      });
    }
    child.process.on("error", ({ message }) => fail(message));
    child.exited.then(
      ({ code, signal }) => fail(`ended with ${code ?? signal} before it listened`),
      () => {},
    );
    const timer = setTimeout(() => fail("does not listen"), startTimeoutMs);
    try {
      return new ServerProcess(child, await listening.promise);
    } catch (error) {
      child.signal("SIGKILL");
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get pid(): number {
    return this.#child.process.pid ?? 0;
  }

  /** Ends it at once. */
  async close(): Promise<void> {
    await this.#child.end("SIGKILL");
  }
}
