import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { unreadable } from "./watched-files.ts";

/** Oldest version of TLS that is spoken. @see https://www.rfc-editor.org/rfc/rfc8996 */
export const minTlsVersion = "TLSv1.2";

/** A certificate (with those that lead to its authority) and its private key, in PEM. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * Reads what TLS_CERT and TLS_KEY name, and checks that it can be served.
 *
 * @param certFile path of the certificate's file
 * @param keyFile path of the key's file
 * @returns the pair, or every problem, each beginning with the variable that it is about
 */
export function readKeyPair(certFile: string, keyFile: string): KeyPair | readonly string[] {
  const problems: string[] = [];
  const read = <T>(name: string, file: string, parse: (bytes: Buffer) => T, expected: string) => {
    const problem = (what: string) => void problems.push(`${name}: ${JSON.stringify(file)} ${what}`);
    let bytes: Buffer;
    try {
      bytes = readFileSync(file);
    } catch (error) {
      return problem(unreadable(error));
    }
    try {
      return { bytes, parsed: parse(bytes) };
    } catch {
      return problem(`is not ${expected}`);
    }
  };
  const cert = read("TLS_CERT", certFile, parseCertificate, "a certificate in PEM format");
  const key = read("TLS_KEY", keyFile, parseKey, "a private key in PEM format without a passphrase");
  if (!cert || !key) return problems;
  if (!cert.parsed.checkPrivateKey(key.parsed)) {
    return [`TLS_KEY: ${JSON.stringify(keyFile)} is not the key of the certificate in TLS_CERT`];
  }
  const pair = { cert: cert.bytes, key: key.bytes };
  try {
    createSecureContext({ ...pair, minVersion: minTlsVersion });
  } catch (error) {
    // Such as a key that is too short for today's OpenSSL; its reasons hold nothing of the files.
    const { reason = "unknown error" } = error as { reason?: string };
    return [`TLS_CERT: ${JSON.stringify(certFile)} cannot be used: ${reason}`];
  }
  return pair;
}

function parseCertificate(bytes: Buffer): X509Certificate {
  if (!bytes.includes("-----BEGIN CERTIFICATE-----")) throw new TypeError("this is not PEM");
  return new X509Certificate(bytes);
}

function parseKey(bytes: Buffer): KeyObject {
  return createPrivateKey({ key: bytes, format: "pem" });
}
