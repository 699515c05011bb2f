import { type ApiKeyConfig, parseApiKey } from "./config-values.ts";
import { fileProblem, readNamedFile } from "./named-files.ts";

/**
 * Reads the file that API_KEYS_FILE names: entries as in API_KEYS, one a line or separated by commas. What follows a `#` at
 * the beginning of a line or behind a space is a comment.
 *
 * @returns the keys, one or more, or what is wrong: the variable, the path and the problem; nothing of what the file holds
 */
export function readApiKeysFile(path: string): readonly ApiKeyConfig[] | string {
  const bytes = readNamedFile("API_KEYS_FILE", path);
  if (typeof bytes === "string") return bytes;
  const lines = bytes
    .toString()
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim());
  const entries = lines.filter((line) => line !== "").flatMap((line) => line.split(","));
  const keys = entries.map((entry, index) => parseApiKey(entry.trim(), index));
  const wrong = keys.length > 0 ? keys.find((key) => typeof key === "string") : "holds no keys";
  return wrong === undefined ? (keys as ApiKeyConfig[]) : fileProblem("API_KEYS_FILE", path, wrong);
}
