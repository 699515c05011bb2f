import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import proxyAddr from "proxy-addr";
import type { TrustProxy } from "../config-values.ts";

/**
 * Makes the function that finds a client's address, believing `X-Forwarded-For` as far as it is told to. What is no address
 * there is not believed: the client may have written it, and it is shown to others. Then it is the address of the peer.
 */
export function remoteAddressOf(trustProxy: TrustProxy): (request: IncomingMessage) => string {
  const trust = compile(trustProxy);
  return (request) => {
    const address = proxyAddr(request, trust);
    return isIP(address) === 0 ? (request.socket.remoteAddress ?? "") : address;
  };
}

function compile(trustProxy: TrustProxy): (address: string, hop: number) => boolean {
  if (trustProxy === false) return () => false;
  if (typeof trustProxy === "number") return (_, hop) => hop < trustProxy;
  return proxyAddr.compile([...trustProxy]);
}
