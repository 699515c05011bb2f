import { readApiKeysFile } from "./api-keys-file.ts";
import { readKeyPair } from "./tls-files.ts";

/** What is wrong with TLS_CERT and TLS_KEY; undefined: unset. */
export function tlsProblems(cert: string | undefined, key: string | undefined): readonly string[] {
  if (cert !== undefined && key !== undefined) {
    const pair = readKeyPair(cert, key);
    return "cert" in pair ? [] : pair;
  }
  if (cert === undefined && key === undefined) return [];
  const [given, missing] = cert === undefined ? ["TLS_KEY", "TLS_CERT"] : ["TLS_CERT", "TLS_KEY"];
  return [`${missing}: is unset, but ${given} is set; TLS takes both`];
}

/** What is wrong with API_KEYS and API_KEYS_FILE together; undefined: unset. */
export function apiKeyProblems(keys: string | undefined, file: string | undefined): readonly string[] {
  if (file === undefined) return [];
  if (keys !== undefined) return ["API_KEYS_FILE: is set, and so is API_KEYS; keep one of them"];
  const found = readApiKeysFile(file);
  return typeof found === "string" ? [`API_KEYS_FILE: ${JSON.stringify(file)} ${found}`] : [];
}

/** What would let anyone in. */
export function openings(given: Readonly<Record<string, string | undefined>>): string[] {
  const problems: string[] = [];
  const { AUTH_MODE = "none", API_KEYS, API_KEYS_FILE, JWT_SECRET } = given;
  if (AUTH_MODE === "none") {
    problems.push("AUTH_MODE: is none in production, so anyone can be anyone; ALLOW_INSECURE=true starts all the same");
  }
  if (!API_KEYS && !API_KEYS_FILE) {
    problems.push("API_KEYS: is unset in production, so anyone can publish; ALLOW_INSECURE=true starts all the same");
  }
  // RFC 7518 section 3.2.
  if (JWT_SECRET && Buffer.byteLength(JWT_SECRET) < 32) {
    problems.push("JWT_SECRET: has less than 32 bytes, so it can be guessed; ALLOW_INSECURE=true starts all the same");
  }
  return problems;
}
