import { randomBytes } from "node:crypto";
import type { BenchOptions } from "./bench-options.ts";
import { describeLoad, jsonOf } from "./bench-report.ts";
import { type Endpoint, findEndpoint } from "./endpoint.ts";
import { checkFileLimit } from "./file-limit.ts";
import { Load, type LoadPlan, type LoadReport } from "./load.ts";
import { nameOf } from "./shot.ts";

/** Messages where neither their number nor a time is asked for. */
const defaultMessages = 1000;

/** Most bytes of messages in one write. */
const maxShotBytes = 64 * 1024 * 1024;

/** How often progress is shown, in ms. */
const progressMs = 200;

/**
 * Loads a running server and prints what came of it.
 *
 * @returns true when nothing was lost, refused or closed
 * @throws Error that says what to do, when it cannot be done
 */
export async function bench(options: BenchOptions): Promise<boolean> {
  const { size, burst, batch, yes = false } = options;
  if (size * burst * batch > maxShotBytes)
    throw new Error("--size, --burst and --batch make a write of more than 64 MiB");
  checkFileLimit(options.connections + options.publishers);
  const server = await findEndpoint(options.url, yes);
  const api = options.apiUrl === undefined ? server : await findEndpoint(options.apiUrl, yes);
  const progress = showProgress(options);
  let report: LoadReport;
  try {
    report = await load(options, planOf(options, server, api), progress);
  } finally {
    progress.end();
  }
  const isForMachines = options.json || !process.stdout.isTTY;
  process.stdout.write(`${isForMachines ? jsonOf(options, report) : describeLoad(options, report)}\n`);
  const { lost, refused, failed, closes } = report;
  return lost + refused + failed === 0 && Object.keys(closes).length === 0;
}

async function load(options: BenchOptions, plan: LoadPlan, progress: Progress): Promise<LoadReport> {
  const opened = await Load.open(plan, () => progress.opened++).catch((error: Error) => {
    throw new Error(`${error.message}${hintFor(error.message)}`, { cause: error });
  });
  try {
    if (options.compression && !opened.audience.isCompressed) {
      throw new Error("the server does not take permessage-deflate: leave --compression out, or turn it on there");
    }
    progress.watch(() => opened.audience.tally.messages);
    const messages = options.messages ?? (options.seconds === undefined ? defaultMessages : undefined);
    return await opened.run({ messages, seconds: options.seconds, rate: options.rate });
  } finally {
    await opened.close();
  }
}

function planOf(options: BenchOptions, server: Endpoint, api: Endpoint): LoadPlan {
  const { connections, publishers, size, to, burst, batch, apiKey, compression = false } = options;
  // Users that nobody else has, and no run before.
  const namePrefix = `bench-${randomBytes(4).toString("hex")}-`;
  const connection = (index: number) => ({
    endpoint: server,
    path: "/ws",
    subprotocols: ["belfry.v1", nameOf(namePrefix, index)],
    compression,
    hello: [],
    greetings: 1,
  });
  const headers = apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` };
  return {
    audience: { connections, connection, sampleEvery: sampleEvery(options) },
    publisher: {
      endpoint: api,
      connections: publishers,
      headers,
      to,
      namePrefix,
      names: connections,
      size,
      burst,
      batch,
    },
  };
}

/** All where they are few; else so few that looking into them does not slow the reading down. */
function sampleEvery({ to, connections, messages, seconds, rate }: BenchOptions): number {
  const published =
    messages ?? (seconds === undefined ? defaultMessages : seconds * (rate ?? Number.POSITIVE_INFINITY));
  const deliveries = to === "user" ? published : published * connections;
  if (to === "user" || deliveries <= 100_000) return 1;
  return deliveries <= 2_000_000 ? 11 : 101;
}

function hintFor(message: string): string {
  if (/ 401 /.test(message)) return ": it wants a credential that this load does not have";
  if (/ 404 /.test(message)) return ": no Belfry serves /ws there";
  if (/ 503 /.test(message)) return ": it is full or shutting down; see MAX_CONNECTIONS and its ulimit -n";
  return "";
}

interface Progress {
  opened: number;
  watch(received: () => number): void;
  end(): void;
}

/** A line on the terminal that is written anew; nothing where there is none. */
function showProgress({ connections }: BenchOptions): Progress {
  let received: (() => number) | undefined;
  const isShown = process.stderr.isTTY;
  const line = (text: string) => process.stderr.write(`\r\x1b[K${text}`);
  const show = () =>
    line(received ? `${received().toLocaleString("en")} deliveries` : `${progress.opened} of ${connections} connected`);
  const timer = isShown ? setInterval(show, progressMs) : undefined;
  const progress: Progress = {
    opened: 0,
    watch: (count) => {
      received = count;
    },
    end: () => {
      clearInterval(timer);
      if (isShown) line("");
    },
  };
  return progress;
}
