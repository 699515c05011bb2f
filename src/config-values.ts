import { createPublicKey, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { z } from "zod";
import { isName } from "./protocol/user-ids.ts";

/** Rights of an API key, each one apart. `read`: look at users and history; `admin`: disconnect users. */
const rights = ["publish", "read", "admin"] as const;
export type Right = (typeof rights)[number];

/** One entry of API_KEYS. */
export interface ApiKeyConfig {
  /** What logs and limits call the key; `key1`, `key2`, … when not named. */
  readonly name: string;
  readonly secret: string;
  readonly rights: readonly Right[];
}

const maxTimerMs = 2 ** 31 - 1;

/** A whole number in a range. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  const expected =
    max === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${min}` : `a whole number from ${min} to ${max}`;
  return z
    .string()
    .refine((text) => /^\d{1,16}$/.test(text) && Number(text) >= min && Number(text) <= max, `is not ${expected}`)
    .transform(Number);
}

/** A time that a timer can wait. */
export const milliseconds = (min: number) => integer(min, maxTimerMs);
/** `true` or `false`. */
export const flag = z.enum(["true", "false"], "is neither true nor false").transform((text) => text === "true");

/** A comma-separated list; `parse` gives the entry, or says what is wrong. */
export function list<T>(parse: (entry: string, index: number) => T | string) {
  return z.string().transform((text, context): T[] => {
    const entries: T[] = [];
    for (const [index, entry] of text.split(",").entries()) {
      const parsed = parse(entry.trim(), index);
      if (typeof parsed === "string") context.addIssue({ code: "custom", message: parsed });
      else entries.push(parsed);
    }
    return entries;
  });
}

/** What `parse` makes of the text, unless it says what is wrong with it. */
export function parsedBy<T>(parse: (text: string) => Exclude<T, string> | string) {
  return z.string().transform((text, context): Exclude<T, string> => {
    const parsed = parse(text);
    if (typeof parsed !== "string") return parsed;
    context.addIssue({ code: "custom", message: parsed });
    return z.NEVER;
  });
}

/** Where a browser page may come from. */
export type AllowedOrigin =
  | { readonly kind: "any" }
  | { readonly kind: "exact"; readonly origin: string }
  | { readonly kind: "subdomains"; readonly scheme: string; readonly suffix: string };

/** An entry of ALLOWED_ORIGINS. */
export function parseOrigin(entry: string): AllowedOrigin | string {
  if (entry === "*") return { kind: "any" };
  const match = /^(https?):\/\/(\*\.)?([a-z0-9.-]+(?::\d{1,5})?|\[[0-9a-f:]+\](?::\d{1,5})?)$/i.exec(entry);
  const [, scheme = "", wildcard, name = ""] = match ?? [];
  // URL brings case and default ports into the form that browsers send, and knows which ports and addresses there are.
  const example = `${scheme}://${wildcard ? "x." : ""}${name}`;
  if (!match || !URL.canParse(example)) {
    return "has an entry that is neither *, nor like https://app.example.com or https://*.example.com";
  }
  const { origin, host } = new URL(example);
  return wildcard
    ? { kind: "subdomains", scheme: scheme.toLowerCase(), suffix: host.slice(1) }
    : { kind: "exact", origin };
}

/** An entry of API_KEYS; `index` counts from 0. */
export function parseApiKey(entry: string, index: number): ApiKeyConfig | string {
  const parts = entry.split(":");
  const [name, secret, given] = parts.length === 1 ? [`key${index + 1}`, entry] : parts;
  if (!name || !secret || parts.length > 3) {
    return `has an entry (number ${index + 1}) that is neither secret, nor name:secret, nor name:secret:right+right`;
  }
  const wanted = given === undefined ? [...rights] : given.split("+");
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    return `has an entry (number ${index + 1}) whose secret holds what no header can carry: use visible ASCII without spaces`;
  }
  const unknown = wanted.filter((right) => !(rights as readonly string[]).includes(right));
  if (unknown.length > 0) return `has an entry (number ${index + 1}) with a right other than ${rights.join(", ")}`;
  return { name, secret, rights: wanted as Right[] };
}

/** A comma-separated list of topics, and of patterns of them. */
export const topicPatterns = z
  .string()
  .transform((text) => text.split(",").map((entry) => entry.trim()))
  .refine((entries) => entries.every(isName), "has an entry that is not 1 to 128 characters");

/** `false`, a number of proxies in front, or their addresses. */
export type TrustProxy = false | number | readonly string[];

/** The value of TRUST_PROXY. */
export function parseTrustProxy(text: string): TrustProxy | string {
  if (text === "false") return false;
  if (/^\d{1,3}$/.test(text)) return Number(text) || false;
  const addresses = text.split(",").map((entry) => entry.trim());
  return addresses.every(isAddressOrRange)
    ? addresses
    : "is not false, a number of hops, or addresses such as 10.0.0.0/8";
}

/** True for what proxy-addr takes: an address, one with a prefix length, or one of its names for private ranges. */
function isAddressOrRange(text: string): boolean {
  if (["loopback", "linklocal", "uniquelocal"].includes(text)) return true;
  const [, address = "", prefix = "1"] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(prefix) >= 1 && Number(prefix) <= (version === 4 ? 32 : 128);
}

/**
 * The value of JWT_PUBLIC_KEY.
 *
 * @param pem an SPKI PEM document; its line breaks may be written as `\n`, as they often are in environment variables
 */
export function parsePublicKey(pem: string): KeyObject | string {
  if (pem.includes("PRIVATE KEY")) return "is a private key; give the public one, which cannot sign tokens";
  let key: KeyObject;
  try {
    key = createPublicKey({ key: pem.replaceAll("\\n", "\n"), format: "pem" });
  } catch {
    return "is not a public key in PEM format";
  }
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  // A key that is bound to RSA-PSS is none of these: WebCrypto, which checks the signatures, does not take it.
  const isUsable = ["rsa", "ec", "ed25519"].includes(key.asymmetricKeyType ?? "");
  if (!isUsable || (namedCurve && !["prime256v1", "secp384r1", "secp521r1"].includes(namedCurve))) {
    return "is not an RSA, P-256, P-384, P-521 or Ed25519 key";
  }
  // RFC 7518 section 3.3.
  return modulusLength !== undefined && modulusLength < 2048 ? "is an RSA key of less than 2048 bits" : key;
}

/** An http or https URL. */
export function parseHttpUrl(text: string): URL | string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url && ["http:", "https:"].includes(url.protocol) ? url : "is not an http or https URL";
}

/** The value of JWT_JWKS_URL: a URL that is fetched as it is, and fetch takes none with credentials. */
export function parseJwksUrl(text: string): URL | string {
  const url = parseHttpUrl(text);
  if (typeof url === "string" || (!url.username && !url.password)) return url;
  return "is a URL with a user name or a password, which cannot be fetched";
}

/** Fewest bytes of a webhook secret. @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
const minWebhookSecretBytes = 24;

/** What is said of a WEBHOOK_SECRET that is none. */
export const webhookSecretForm = `is not whsec_ and the base64 of ${minWebhookSecretBytes} bytes or more`;

/**
 * The value of WEBHOOK_SECRET.
 *
 * @returns the key, or the keys of a comma-separated list, to sign with each
 */
export function parseWebhookSecrets(text: string): Buffer[] | string {
  const keys = text.split(",").map((entry) => {
    const [, base64 = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(entry.trim()) ?? [];
    return Buffer.from(base64, "base64");
  });
  return keys.every(({ length }) => length >= minWebhookSecretBytes) ? keys : webhookSecretForm;
}
