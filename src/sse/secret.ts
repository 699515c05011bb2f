import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { isName } from "../protocol/user-ids.ts";

/** Random bytes of a secret. */
const randomLength = 32;

const pattern = /^[\w-]{43}(?:\.([\w-]+))?$/;

/**
 * Makes the secret by which the client of one connection is known when it sends frames: random text, and the user behind a
 * dot, so that another replica knows whom to ask for the connection.
 */
export function newSecret(user: string | null): string {
  const random = randomBytes(randomLength).toString("base64url");
  return user === null ? random : `${random}.${Buffer.from(user).toString("base64url")}`;
}

/** Whose connection a secret is for, null: an anonymous one; undefined when it is no secret at all. */
export function userOfSecret(secret: string): string | null | undefined {
  const match = pattern.exec(secret);
  if (!match) return undefined;
  if (match[1] === undefined) return null;
  const user = Buffer.from(match[1], "base64url").toString();
  return isName(user) ? user : undefined;
}

/** What is kept of a secret. */
export function digestOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

/** Compares in constant time. */
export function isSecret(presented: string, digest: Buffer): boolean {
  return timingSafeEqual(digestOf(presented), digest);
}
