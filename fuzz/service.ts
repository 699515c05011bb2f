import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Child } from "../chaos/child.ts";
import { SecretWatch } from "../test/support/secrets.ts";
import { type Configuration, commonSettings } from "./configuration.ts";

const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));

/** How long it may take to listen and to end, in ms. */
const startTimeoutMs = 30_000;
const endTimeoutMs = 10_000;

/** Lines at these levels say that the service itself is at fault. */
const badLine = /"level":"(error|fatal)"/;

/** A `belfry serve` that the cases are thrown at. */
export class Service {
  readonly #child: Child;
  readonly #watch = new SecretWatch();
  readonly #listening = Promise.withResolvers<number>();
  #port = 0;
  #isEnding = false;

  /** @param onFailure told of every line that should not be there, and of an end that nobody asked for */
  constructor({ env }: Configuration, onFailure: (detail: string) => void) {
    const options = {
      env: { PATH: process.env["PATH"] ?? "", MALLOC_ARENA_MAX: "1", ...commonSettings, ...env },
      stdio: ["ignore", "pipe", "pipe"] as ("ignore" | "pipe")[],
    };
    // As in `npm start`, with a heap that has no room for what would grow, and one arena, so that memory is given back.
    this.#child = new Child(
      process.execPath,
      ["--max-semi-space-size=8", "--max-old-space-size=96", cli, "serve"],
      options,
    );
    const { stdout, stderr } = this.#child.process;
    if (!stdout || !stderr) throw new Error("no output");
    createInterface({ input: stdout }).on("line", (line) => {
      if (line.includes('"Belfry is listening"')) this.#listening.resolve((JSON.parse(line) as { port: number }).port);
      if (badLine.test(line)) onFailure(`logged ${line.slice(0, 2000)}`);
      if (this.#watch.leakIn(line) !== undefined) onFailure(`logged a secret: ${line.slice(0, 500)}`);
    });
    createInterface({ input: stderr }).on("line", (line) => onFailure(`wrote ${line.slice(0, 500)}`));
    void this.#child.exited.then(({ code, signal }) => {
      this.#listening.reject(new Error("the service ended before it listened"));
      if (!this.#isEnding) onFailure(`ended on its own with ${code ?? signal}`);
    });
  }

  /** Where it listens. */
  get port(): number {
    return this.#port;
  }

  /** Resolves when it listens. */
  async listening(): Promise<void> {
    const timer = setTimeout(() => this.#listening.reject(new Error("the service does not listen")), startTimeoutMs);
    this.#port = await this.#listening.promise;
    clearTimeout(timer);
  }

  /** Answers a GET of its own, such as /metrics; without a key. */
  async get(path: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, { headers: { connection: "close" } });
    if (response.status !== 200) throw new Error(`GET ${path} was answered ${response.status}`);
    return response.text();
  }

  /** Drains it; false when it did not end with 0 in time. */
  async end(): Promise<boolean> {
    this.#isEnding = true;
    const { code, inTime } = await this.#child.end("SIGINT", endTimeoutMs);
    return inTime && code === 0;
  }
}
