import type { Random } from "../chaos/random.ts";

/** Texts at which code that handles texts has broken before. */
export const texts: readonly string[] = [
  "",
  " ",
  "a",
  "alice",
  "x".repeat(128),
  "x".repeat(129),
  "x".repeat(9000),
  "🔔".repeat(128),
  "🔔".repeat(129),
  "zoë",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\udc00x",
  "\u202e\u200b\ufeff",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "../../etc/passwd",
  "%00",
  "%",
  "*",
  "?",
  "#",
  ":",
  "/",
  "b-0-0",
  "l-0-1",
  "u-abc-1",
  "t-abc-99999999999999999999",
  "b-abc-9007199254740993",
  "earliest",
  "null",
  "NaN",
  "[object Object]",
  "a\r\nX-Injected: 1",
  "'\"`;--",
  "$".concat("{7*7}"),
  "belfry.v1",
  "u.",
  "u.____",
];

/** Pieces of JSON text, and of what is nearly JSON. */
export const jsonTexts: readonly string[] = [
  ...texts.map((text) => JSON.stringify(text)),
  "null",
  "true",
  "false",
  "0",
  "-0",
  "-0.0",
  "-1",
  "1e999",
  "-1e999",
  "1e-999",
  "0.1",
  "123456789012345678901234567890",
  "9007199254740993",
  "31536000.0001",
  "2147483648",
  "[]",
  "{}",
  "[null]",
  '{"__proto__":{"x":1}}',
  '{"constructor":{"prototype":{"x":1}}}',
  '{"data":1}',
  '{"user":"alice","topic":"x"}',
  '{"":""}',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\u0000"',
  '"\\/\\b\\f"',
  `${"[".repeat(3000)}${"]".repeat(3000)}`,
  `${'{"a":'.repeat(2000)}1${"}".repeat(2000)}`,
  `"${"x".repeat(32_760)}"`,
  `"${"\\u0041".repeat(3000)}"`,
  `[${"0,".repeat(1500)}0]`,
  // Not JSON from here on.
  "01",
  "+1",
  ".5",
  "1.",
  "NaN",
  "Infinity",
  "undefined",
  "'x'",
  '"',
  '"\\x41"',
  '"\\ud8',
  '"\t"',
  "/* */ 1",
  "1,",
  "[1,]",
  '{"a":1,}',
  "{a:1}",
  "tru",
  "",
  "[".repeat(5000),
  '{"a":'.repeat(3000),
];

/** A user of those that the cases are about. */
export function someUser(random: Random): string {
  return `fuzz${random.between(1, 50)}`;
}

/** Any of the texts, percent-encoded in one way or the other, as part of a URL. */
export function urlPart(random: Random): string {
  const text = random.pick(texts);
  const way = random.between(0, 3);
  if (way === 0) return encodeURIComponent(text.toWellFormed());
  if (way === 1)
    return random.pick(["%", "%zz", "%ff", "%c0%80", "%ed%a0%80", "%00", "%2f", "%2e%2e", "%u0041", "%F0%9F"]);
  if (way === 2)
    return Array.from(Buffer.from(text).subarray(0, 60), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
  return text.toWellFormed();
}

/** The same without what ends a request's target. */
export function targetPart(random: Random): string {
  return urlPart(random).replaceAll(/[\s\0]/g, "");
}
