/** Files that this process needs beside its connections. */
const spare = 64;

/**
 * Checks that so many connections can be opened.
 *
 * @throws Error that says how to raise the limit
 */
export function checkFileLimit(connections: number): void {
  // Else it looks up the names of all peers. Known to Node since 22.0, not yet to its types.
  const report: typeof process.report & { excludeNetwork?: boolean } = process.report;
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft: number | string } } };
  const limit = Number(userLimits?.open_files?.soft);
  // Neither on Windows nor where it says unlimited.
  if (!(connections + spare > limit)) return;
  throw new Error(
    `${connections} connections are more than the ${limit} files that a process may open here (ulimit -Hn): raise it, or ` +
      `lower --connections to ${Math.max(1, limit - spare)}; the server needs as many`,
  );
}
