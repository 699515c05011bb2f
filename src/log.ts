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
  const serialized: unknown = stdSerializers.err(error);
  // Anything can be thrown; pino hands back what is no error, and of an object nobody knows what it holds.
  if (serialized === error) {
    return { message: Object(error) === error ? Object.prototype.toString.call(error) : String(error) };
  }
  const { type, message, stack, code, cause } = serialized as Record<string, unknown>;
  return { type, message, stack, ...(code !== undefined && { code }), ...(cause !== undefined && { cause }) };
}
