import { describe, expect, it } from "vitest";
import { isNestedDeeper, memberSpan, memberSpansOfEach } from "../../../src/protocol/raw-json.ts";

/** A member as it is written. */
function member(text: string, name: string, at?: number): string | undefined {
  const span = memberSpan(text, name, at);
  return span && text.slice(...span);
}

/** One member of each element as it is written. */
function each(text: string, name: string, at?: number): (string | undefined)[] {
  return memberSpansOfEach(text, name, at).map((span) => span && text.slice(...span));
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

describe("memberSpan", () => {
  it.each(values)("finds %s as it is written, first, last and alone", (value) => {
    for (const text of [
      `{"a":${value}}`,
      `{"a":${value},"b":1}`,
      `{"b":1,"a":${value}}`,
      ` \n{ "a"\t:\r\n${value} , "b" : 1 }\n`,
    ]) {
      expect(member(text, "a")).toBe(value);
    }
  });

  it.each(["{}", "{ }", " {\n} ", '{"b":1}', '{"b":{"a":1}}', '{"b":"a"}'])("finds nothing in %j", (text) => {
    expect(member(text, "a")).toBeUndefined();
  });

  it("takes the last of two members with one name, as JSON.parse does", () => {
    expect(member('{"a":1,"b":2,"a":3}', "a")).toBe("3");
    expect(member('{"a":1,"\\u0061":2}', "a")).toBe("2");
  });

  it.each(["data", '"', "\\", "\n"])("reads the name %j with escapes", (name) => {
    const text = '{"d\\u0061ta":1,"\\"":2,"\\\\":3,"\\n":4}';
    expect(Number(member(text, name))).toBe(JSON.parse(text)[name]);
  });

  it("reads a name with escapes before it compares it", () => {
    const text = String.raw`{"\u005c/": 1, "\/": 2}`;
    expect(text.slice(...(memberSpan(text, "\\/") ?? []))).toBe("1");
    expect(text.slice(...(memberSpan(text, "/") ?? []))).toBe("2");
  });

  it("finds __proto__ like any other name", () => {
    expect(member('{"__proto__":{"a":1},"constructor":2}', "__proto__")).toBe('{"a":1}');
    expect(member('{"a":1}', "__proto__")).toBeUndefined();
  });

  it("begins where it is told and stops at the object's end", () => {
    const text = '[{"a":1}, {"b":2}, {"c":3}]';
    expect([member(text, "a", 9), member(text, "b", 9), member(text, "c", 9)]).toEqual([undefined, "2", undefined]);
  });

  it("is done with 100,000 levels without overflowing the stack", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    expect(memberSpan(`{"a":${deep},"b":1}`, "a")).toEqual([5, 200_005]);
  });
});

describe("memberSpansOfEach", () => {
  it("finds the member of every element as it is written", () => {
    const objects = values.map((value) => `{"b":1,"a":${value}}`);
    expect(each(`[${objects.join(",")}]`, "a")).toEqual(values);
    expect(each(` [\n${objects.join(" ,\t")}\r] `, "a")).toEqual(values);
  });

  it("finds nothing in what is no object or has no such member, and goes on behind it", () => {
    expect(each(`[${values.join(",")},{"data":5}]`, "data")).toEqual([...values.map(() => undefined), "5"]);
  });

  it.each(["[]", "[ ]", " [\n] "])("finds nothing in %j", (text) => {
    expect(each(text, "a")).toEqual([]);
  });

  it("begins where it is told and stops at the array's end", () => {
    expect(each('{"a":[{"a":1},2],"b":[{"a":3}]}', "a", 5)).toEqual(["1", undefined]);
  });
});

describe("isNestedDeeper", () => {
  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  const space = " ".repeat(10);

  it.each([
    [nested(3), false],
    [nested(4), true],
    ['{"a":[{"b":1}]}', false],
    ['{"a":[{"b":[]}]}', true],
    [`[${nested(2)},${nested(2)},${nested(2)}]`, false],
    ['["[[[[", "\\"[[[[", "\\\\", [[]]]', false],
    ['["\\\\", [[[]]]]', true],
    ['["\\"]]]", [[[]]]]', true],
    ['[[["[', false],
    ["]]]][[[[[", false],
    ["", false],
  ])("of %s more than 3 levels is %s", (text, expected) => {
    expect(isNestedDeeper(text + space, 3)).toBe(expected);
  });
});
