import { createHmac } from "node:crypto";

/** When tokens that are good run out, in seconds since the Unix epoch: the year 2100, so that a seed repeats its tokens. */
export const farExpiry = 4_102_444_800;

/** When tokens were issued, by their own words. */
export const issuedAt = 1_700_000_000;

/** Signs whatever it is given, as no library would: the header's `alg` may say anything. */
export function signToken(header: unknown, payload: unknown, secret: string, hash = "sha256"): string {
  const signed = `${segment(header)}.${segment(payload)}`;
  return `${signed}.${createHmac(hash, secret).update(signed).digest("base64url")}`;
}

/** A part of a token: a text or bytes as they are, all else as its JSON. */
export function segment(part: unknown): string {
  if (Buffer.isBuffer(part)) return part.toString("base64url");
  return Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
}
