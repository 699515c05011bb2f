import { unwatchFile, watchFile } from "node:fs";

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

/** Why a file cannot be read, for whoever named it in the configuration: the system's code, such as ENOENT. */
export function unreadable(error: unknown): string {
  return `cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`;
}
