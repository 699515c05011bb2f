/** Where a value stands in a text: from `start` up to, not including, `end`. */
export type Span = readonly [start: number, end: number];

const quote = 0x22;
const backslash = 0x5c;

/**
 * Finds where a member's value stands in the text of a JSON object, so that the value can be handed on exactly as it was
 * written: JSON.parse and JSON.stringify would change numbers (`-0.0`, 20 digits) and member order.
 *
 * @param text a JSON text that JSON.parse has accepted; on other text the result means nothing
 * @param at where the object begins (white space before it is skipped)
 * @returns of a name that stands twice the last, as in JSON.parse; undefined when the object has no such member
 */
export function memberSpan(text: string, name: string, at = 0): Span | undefined {
  return findMember(text, name, skipSpace(text, at)).span;
}

/**
 * Finds where the value of one member stands in each object of a JSON array.
 *
 * @param text a JSON text that JSON.parse has accepted
 * @param at where the array begins
 * @returns for each element, undefined when it is no object or has no such member
 */
export function memberSpansOfEach(text: string, name: string, at = 0): (Span | undefined)[] {
  const spans: (Span | undefined)[] = [];
  let i = skipSpace(text, skipSpace(text, at) + 1);
  while (i < text.length && text[i] !== "]") {
    const { span, end } = text[i] === "{" ? findMember(text, name, i) : { span: undefined, end: skipValue(text, i) };
    spans.push(span);
    i = skipSpace(text, end);
    if (text[i] === ",") i = skipSpace(text, i + 1);
  }
  return spans;
}

/**
 * True when arrays and objects stand in each other more than `maxDepth` deep. JSON.parse itself takes any depth, without
 * recursion; whatever walks through its result may not.
 *
 * @param text any text: where it is no JSON, JSON.parse will say so, whatever the answer here
 */
export function isNestedDeeper(text: string, maxDepth: number): boolean {
  // Each level has a bracket at both ends.
  if (text.length <= 2 * maxDepth) return false;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === quote) i = skipString(text, i) - 1;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > maxDepth) return true;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return false;
}

/** Looks for a member of the object that begins at `at`, and for the object's end. */
function findMember(text: string, name: string, at: number): { span: Span | undefined; end: number } {
  let span: Span | undefined;
  let i = skipSpace(text, at + 1);
  while (text[i] === '"') {
    const nameEnd = skipString(text, i);
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = skipValue(text, start);
    if (isString(text, i, nameEnd, name)) span = [start, end];
    i = skipSpace(text, end);
    if (text[i] === ",") i = skipSpace(text, i + 1);
  }
  return { span, end: i + 1 };
}

/** Whether the JSON string between two places says a name. */
function isString(text: string, start: number, end: number, name: string): boolean {
  const written = text.slice(start + 1, end - 1);
  return (written.includes("\\") ? JSON.parse(`"${written}"`) : written) === name;
}

function skipSpace(text: string, at: number): number {
  let i = at;
  for (let c = text.charCodeAt(i); c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09; c = text.charCodeAt(i)) i++;
  return i;
}

/** The end of the string that begins at `at`, behind its closing quote. */
function skipString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) return end + 1;
  }
  return text.length;
}

/** The end of the value that begins at `at`. */
function skipValue(text: string, at: number): number {
  let depth = 0;
  let i = at;
  while (i < text.length) {
    const c = text.charCodeAt(i);
    if (c === quote) {
      i = skipString(text, i);
      if (depth === 0) return i;
      continue;
    }
    if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) {
      if (depth === 0) return i;
      if (--depth === 0) return i + 1;
    } else if (depth === 0 && (c === 0x2c || c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09)) return i;
    i++;
  }
  return i;
}
