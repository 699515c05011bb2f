import { Belfry } from "./app.ts";
import { readConfig } from "./config.ts";
import { exitIfConfigError } from "./exit-config.ts";
import { createLog } from "./log.ts";

function readConfigOrExit() {
  try {
    return readConfig(process.env);
  } catch (error) {
    exitIfConfigError(error);
    throw error;
  }
}

const config = readConfigOrExit();
const log = createLog(config.logLevel);

process.on("uncaughtException", (error) => {
  log.fatal({ err: error }, "uncaught error");
  process.exit(1);
});

const starting = Belfry.start({ ...config, log }).catch((error: unknown) => {
  exitIfConfigError(error);
  log.fatal({ err: error }, "Belfry could not start");
  process.exit(1);
});

let stopping = false;

/** SIGTERM drains; SIGINT, somebody at a terminal, ends at once; a second signal does not wait for the first. */
async function stop(signal: NodeJS.Signals): Promise<void> {
  if (stopping) process.exit(1);
  stopping = true;
  const belfry = await starting;
  const drainTimeoutMs = signal === "SIGTERM" ? config.drainTimeoutMs : 0;
  log.info({ signal, drainTimeoutMs, connections: belfry.hub.size }, "shutting down");
  await belfry.close(drainTimeoutMs);
  log.info("stopped");
  process.exit(0);
}

process.on("SIGTERM", stop);
process.on("SIGINT", stop);

await starting;
