import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memberSpan, memberSpansOfEach } from "../../src/protocol/raw-json.ts";

const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
const number = fc.stringMatching(/^-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?$/);

/** A character as JSON may write it: as it is where that is legal, or as an escape. */
const character = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }).map((c) => JSON.stringify(c).slice(1, -1)),
  fc.constantFrom(
    '\\"',
    "\\\\",
    "\\/",
    "\\n",
    "\\u0022",
    "\\u005C",
    "\\ud83d",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\u0061",
  ),
);
const string = fc.array(character, { maxLength: 8 }).map((characters) => `"${characters.join("")}"`);
const memberName = fc.oneof(string, fc.constantFrom('"__proto__"', '"a"', '"\\u0061"', '"constructor"', '""'));

/** Any JSON text of one value, without white space around. */
const { value } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom("null", "true", "false"),
    number,
    string,
    tie("array"),
    tie("object"),
  ),
  array: fc
    .array(fc.tuple(space, tie("value"), space), { maxLength: 4 })
    .map((items) => `[${items.map((item) => item.join("")).join(",")}]`),
  object: fc
    .array(fc.tuple(space, memberName, space, fc.constant(":"), space, tie("value"), space), { maxLength: 4 })
    .map((members) => `{${members.map((member) => member.join("")).join(",")}}`),
}));

describe("memberSpan", () => {
  it("finds every member of any object as it was written", () => {
    const members = fc.array(fc.tuple(space, memberName, space, space, value, space), { maxLength: 6 });
    fc.assert(
      fc.property(members, space, space, (parts, before, after) => {
        const inner = parts.map(([a, name, b, c, written, d]) => `${a}${name}${b}:${c}${written}${d}`).join(",");
        const text = `${before}{${inner}}${after}`;
        expect(() => JSON.parse(text)).not.toThrow();
        // Each name alone: V8 13.6 may take an escaped name for another that it saw before, see nodejs/node#63785.
        const written = new Map(parts.map(([, name, , , one]) => [JSON.parse(name) as string, one]));
        for (const [name, one] of written) expect(text.slice(...(memberSpan(text, name) ?? []))).toBe(one);
        if (!written.has("other")) expect(memberSpan(text, "other")).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });
});

describe("memberSpansOfEach", () => {
  it("finds the member of every element of any array as it was written, also inside another text", () => {
    const element = fc.oneof(
      value.map((written) => ({ text: `{"x":1, "data" : ${written}}`, written })),
      value.filter((text) => !text.startsWith("{")).map((text) => ({ text, written: undefined })),
    );
    const elements = fc.array(fc.tuple(space, element, space), { maxLength: 6 });
    fc.assert(
      fc.property(elements, value, (parts, other) => {
        const before = `{"other":${other},"messages":`;
        const text = `${before}[${parts.map(([a, { text }, b]) => `${a}${text}${b}`).join(",")}],"after":${other}}`;
        expect(memberSpan(text, "messages")?.[0]).toBe(before.length);
        const found = memberSpansOfEach(text, "data", before.length).map((span) => span && text.slice(...span));
        expect(found).toEqual(parts.map(([, { written }]) => written));
      }),
      { numRuns: 1000 },
    );
  });
});
