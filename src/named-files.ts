import { readFileSync, unwatchFile, watchFile } from "node:fs";

/** Pause between two looks at a file, in ms. */
const intervalMs = 1000;

/**
 * Calls back when one of the files has changed, vanished or come back, until it is told to stop. It looks at the files from
 * time to time instead of asking the system to be told: that also works on network file systems and with the symbolic links
 * by which Kubernetes replaces the files of a secret.
 *
 * @returns what ends it
 */
export function watchFiles(paths: readonly string[], onChange: () => void): () => void {
  // Of its own, so that another who watches the same file is not stopped too.
  const listener = () => onChange();
  for (const path of paths) watchFile(path, { interval: intervalMs, persistent: false }, listener);
  return () => {
    for (const path of paths) unwatchFile(path, listener);
  };
}

/** What is wrong with a file, for whoever named it in the configuration. */
export function fileProblem(variable: string, path: string, what: string): string {
  return `${variable}: ${JSON.stringify(path)} ${what}`;
}

/**
 * Reads a file that a variable names.
 *
 * @returns what it holds, or why it cannot be read: by the system's code, such as ENOENT
 */
export function readNamedFile(variable: string, path: string): Buffer | string {
  // It may be a private key, which is not to be shown as a path.
  if (path.includes("-----BEGIN")) return `${variable}: is a PEM document; set it to the path of a file that holds it`;
  try {
    return readFileSync(path);
  } catch (error) {
    return fileProblem(variable, path, `cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`);
  }
}
