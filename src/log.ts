import { type DestinationStream, type LevelWithSilent, type Logger, pino, stdSerializers } from "pino";

export type Log = Logger;

/**
 * Creates the service's logger: JSON lines on standard output. Callers log ids, codes and counts, never tokens, keys or
 * message data; the redaction below is the second line of defence, for headers and credentials that slip into a field.
 */
export function createLog(level: LevelWithSilent, destination?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: withoutCommand },
    redact: {
      paths: ["authorization", "cookie", "sec-websocket-protocol", "token", "secret", "password", "data"].flatMap(
        (name) => [`["${name}"]`, `*["${name}"]`, `*.headers["${name}"]`],
      ),
      censor: "[redacted]",
    },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** An error without the fields in which client libraries keep the arguments of the failed command. */
function withoutCommand(error: Error): unknown {
  const serialized = stdSerializers.err(error) as unknown as Record<string, unknown>;
  const { type, message, stack, code, cause } = serialized;
  return { type, message, stack, ...(code !== undefined && { code }), ...(cause !== undefined && { cause }) };
}
