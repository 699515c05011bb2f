import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { connect } from "node:net";

/** How long a server may take to accept a connection, in ms. */
const timeoutMs = 5000;

/** Where a server is. */
export interface Endpoint {
  /** Its IP address: a name would be looked up for every connection. */
  readonly address: string;
  readonly port: number;
  /** What the `Host` header says. */
  readonly host: string;
}

/**
 * Finds the address at which a server answers.
 *
 * @param mayBeForeign true when it may be on another machine
 * @throws Error that says what to do, when there is none
 */
export async function findEndpoint(text: string, mayBeForeign: boolean): Promise<Endpoint> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !["ws:", "http:"].includes(url.protocol)) throw new Error(`${text} is not like ws://localhost:8080`);
  try {
    return await firstThatAnswers(url, mayBeForeign);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new Error(
      `cannot connect to ${text} (${message || code}): start a server there with "belfry serve", or name another one with --url`,
      { cause: error },
    );
  }
}

async function firstThatAnswers(url: URL, mayBeForeign: boolean): Promise<Endpoint> {
  const port = Number(url.port) || 80;
  const addresses = await lookup(url.hostname.replace(/^\[|\]$/g, ""), { all: true });
  const foreign = addresses.find(({ address }) => !isLoopback(address));
  if (foreign && !mayBeForeign) {
    throw new Error(
      `${url.hostname} (${foreign.address}) is not on this machine, and a load test of somebody else's server is an attack; --yes: it is yours`,
    );
  }
  let failure: unknown;
  for (const { address } of addresses) {
    try {
      await knock(address, port);
      return { address, port, host: url.host };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** True for an address that never leaves this machine. */
function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

async function knock(host: string, port: number): Promise<void> {
  const socket = connect({ host, port });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(timeoutMs) });
  } finally {
    socket.destroy();
  }
}
