import { describe, expect, it } from "vitest";
import { elementSpans, memberSpans } from "../../../src/protocol/raw-json.ts";

/** The members of an object as they are written. */
function members(text: string, at?: number): Record<string, string> {
  return Object.fromEntries([...memberSpans(text, at)].map(([name, [start, end]]) => [name, text.slice(start, end)]));
}

function elements(text: string, at?: number): string[] {
  return elementSpans(text, at).map(([start, end]) => text.slice(start, end));
}

/** One of each kind of value, and spellings that JSON.parse would lose. */
const values = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "-0.0",
  "1e400",
  "1E+2",
  "12345678901234567890.10",
  '""',
  '"text"',
  '"\\""',
  '"\\\\"',
  '"\\\\\\""',
  '"\\u0022,}]"',
  '"{[,:]}"',
  '"ü😀\\ud83d"',
  "[]",
  "{}",
  "[ ]",
  "{ }",
  '[1,[2,[3]],{"a":[4]}]',
  '{"a":{"b":{"c":"}"}},"d":[{}]}',
  '{"z":1,"a":2,"1":3}',
  "[\n\t1 ,\r2\n]",
];

describe("memberSpans", () => {
  it.each(values)("finds %s as it is written, first, last and alone", (value) => {
    expect(members(`{"a":${value}}`)).toEqual({ a: value });
    expect(members(`{"a":${value},"b":1}`)).toEqual({ a: value, b: "1" });
    expect(members(`{"b":1,"a":${value}}`)).toEqual({ a: value, b: "1" });
    expect(members(` \n{ "a"\t:\r\n${value} , "b" : 1 }\n`)).toEqual({ a: value, b: "1" });
  });

  it.each(["{}", "{ }", " {\n} "])("finds nothing in %j", (text) => {
    expect(members(text)).toEqual({});
  });

  it("takes the last of two members with one name, as JSON.parse does", () => {
    expect(members('{"a":1,"b":2,"a":3}')).toEqual({ a: "3", b: "2" });
    expect(members('{"a":1,"\\u0061":2}')).toEqual({ a: "2" });
  });

  it("reads names with escapes", () => {
    expect([...memberSpans('{"d\\u0061ta":1,"\\"":2,"\\\\":3,"\\n":4}').keys()]).toEqual(["data", '"', "\\", "\n"]);
  });

  it("finds __proto__ like any other name", () => {
    const text = '{"__proto__":{"a":1},"constructor":2}';
    const spans = memberSpans(text);
    expect([...spans.keys()]).toEqual(["__proto__", "constructor"]);
    expect(text.slice(...(spans.get("__proto__") ?? []))).toBe('{"a":1}');
  });

  it("begins where it is told and stops at the object's end", () => {
    const text = '[{"a":1}, {"b":2}, {"c":3}]';
    expect(members(text, 9)).toEqual({ b: "2" });
  });

  it("is done with 100,000 levels without overflowing the stack", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    expect(memberSpans(`{"a":${deep},"b":1}`).get("a")).toEqual([5, 200_005]);
  });
});

describe("elementSpans", () => {
  it("finds every kind of value as it is written", () => {
    expect(elements(`[${values.join(",")}]`)).toEqual(values);
    expect(elements(` [\n${values.join(" ,\t")}\r] `)).toEqual(values);
  });

  it.each(["[]", "[ ]", " [\n] "])("finds nothing in %j", (text) => {
    expect(elements(text)).toEqual([]);
  });

  it("begins where it is told and stops at the array's end", () => {
    expect(elements('{"a":[1,2],"b":[3]}', 5)).toEqual(["1", "2"]);
  });
});
