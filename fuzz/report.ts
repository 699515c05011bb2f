import type { Tally } from "../chaos/report.ts";
import type { Case } from "./case.ts";
import type { Footprint } from "./footprint.ts";

/** Something that must not be. */
export interface Finding {
  readonly detail: string;
  /** Number of the case that it came of; of several, those that were under way. */
  readonly cases: readonly number[];
  /** The input, where it is known. */
  readonly input?: Case;
}

/** Most findings that are printed, and bytes of an input or an answer. */
const maxPrinted = 20;
const maxPrintedBytes = 4000;

/** Findings as text for a terminal, each with what repeats it. */
export function describeFindings(findings: readonly Finding[], command: string): string {
  const texts = findings.slice(0, maxPrinted).map(({ detail, cases, input }) => {
    const repeat = cases.length > 0 ? [`  ${command} --only ${cases.join(",")}`] : [];
    return [`- ${detail}`, ...repeat, ...(input ? [`  ${describeCase(input)}`] : [])].join("\n");
  });
  const more = findings.length - maxPrinted;
  return [...texts, ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}

/** A case as text: every chunk escaped, so that what was sent can be read and repeated. */
export function describeCase({ kind, name, chunks, ending }: Case): string {
  return `${kind} ${name}, then ${ending}:\n${chunks.map((chunk) => `    ${escaped(chunk)}`).join("\n")}`;
}

/** Bytes as a JavaScript string of characters U+0000 to U+00FF. */
export function escaped(bytes: Buffer): string {
  const text = JSON.stringify(bytes.toString("latin1", 0, maxPrintedBytes)).replaceAll(
    /[\x7f-\xff]/g,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );
  return bytes.length > maxPrintedBytes ? `${text} and ${bytes.length - maxPrintedBytes} bytes more` : text;
}

/** A table of counts as one line. */
export function inOneLine(tally: Tally, table: string): string {
  return tally
    .rows(table)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}

/** A footprint as one line. */
export function describeFootprint({ connections, files, rssBytes, heapBytes }: Footprint): string {
  const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
  return `RSS ${mib(rssBytes)}, heap ${mib(heapBytes)}, files ${files ?? "unknown"}, connections ${connections}`;
}
