/** Most characters (Unicode code points) that a user id, a topic, an event or a collapse key may have. */
export const maxNameLength = 128;

/** What is said of a text that is no name. */
export const nameExpected = `expected 1 to ${maxNameLength} characters`;

/** True for a text of 1 to 128 characters, counted as Unicode code points, without lone surrogates. */
export function isName(text: string): boolean {
  if (text.length === 0 || text.length > 2 * maxNameLength || !text.isWellFormed()) return false;
  return text.length <= maxNameLength || [...text].length <= maxNameLength;
}

/** RFC 9110 section 5.6.2: what a subprotocol may consist of. */
export const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function toBase64Url(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * Writes a user id as a flag, the subprotocol token that carries it: the id itself where that is a legal token, else
 * `u.` and the unpadded base64url of its UTF-8 bytes.
 */
export function encodeFlag(user: string): string {
  if (tokenPattern.test(user) && !user.startsWith("u.") && user !== "belfry.v1") return user;
  return `u.${toBase64Url(encoder.encode(user))}`;
}

/**
 * Reads the user id that a flag carries. A flag that begins with `u.` and goes on with canonical base64url of valid,
 * non-empty UTF-8 is an encoded id; any other flag is the id itself.
 */
export function decodeFlag(flag: string): string {
  if (!flag.startsWith("u.") || flag.length === 2) return flag;
  const encoded = flag.slice(2);
  if (!/^[A-Za-z0-9_-]+$/.test(encoded) || encoded.length % 4 === 1) return flag;
  const bytes = Uint8Array.from(atob(encoded.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  if (toBase64Url(bytes) !== encoded) return flag;
  try {
    return decoder.decode(bytes);
  } catch {
    return flag;
  }
}
