import type { IncomingMessage } from "node:http";
import proxyAddr from "proxy-addr";
import type { TrustProxy } from "../config-values.ts";

/** Makes the function that finds a client's address, believing `X-Forwarded-For` as far as it is told to. */
export function remoteAddressOf(trustProxy: TrustProxy): (request: IncomingMessage) => string {
  const trust = compile(trustProxy);
  return (request) => proxyAddr(request, trust);
}

function compile(trustProxy: TrustProxy): (address: string, hop: number) => boolean {
  if (trustProxy === false) return () => false;
  if (typeof trustProxy === "number") return (_, hop) => hop < trustProxy;
  return proxyAddr.compile([...trustProxy]);
}
