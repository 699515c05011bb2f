import { expect, it } from "vitest";
import { bearerToken } from "../../../src/auth/bearer.ts";

it.each([
  ["Bearer abc", "abc"],
  ["bearer abc", "abc"],
  ["BEARER   abc  ", "abc"],
  ["Bearer a.b-c_d~e+f/g=", "a.b-c_d~e+f/g="],
])("finds the token of %j", (header, token) => {
  expect(bearerToken(header)).toBe(token);
});

it.each([
  undefined,
  "",
  "Bearer",
  "Bearer ",
  "Bearerabc",
  "Basic abc",
  "abc",
  "Bearer a b",
  "Bearer a,b",
  "x Bearer a",
])("finds no token in %j", (header) => {
  expect(bearerToken(header)).toBeUndefined();
});
