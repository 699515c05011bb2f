import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { fileProblem, readNamedFile } from "./named-files.ts";

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
  const read = <T>(variable: string, file: string, parse: (bytes: Buffer) => T, expected: string) => {
    const bytes = readNamedFile(variable, file);
    if (typeof bytes === "string") return void problems.push(bytes);
    try {
      return { bytes, parsed: parse(bytes) };
    } catch {
      return void problems.push(fileProblem(variable, file, `is not ${expected}`));
    }
  };
  const cert = read("TLS_CERT", certFile, parseCertificate, "a certificate in PEM format");
  const key = read("TLS_KEY", keyFile, parseKey, "a private key in PEM format without a passphrase");
  if (!cert || !key) return problems;
  if (!cert.parsed.checkPrivateKey(key.parsed)) {
    return [fileProblem("TLS_KEY", keyFile, "is not the key of the certificate in TLS_CERT")];
  }
  const pair = { cert: cert.bytes, key: key.bytes };
  try {
    createSecureContext({ ...pair, minVersion: minTlsVersion });
  } catch (error) {
    // Such as a key that is too short for today's OpenSSL; its reasons hold nothing of the files.
    const { reason = "unknown error" } = error as { reason?: string };
    return [fileProblem("TLS_CERT", certFile, `cannot be used: ${reason}`)];
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
