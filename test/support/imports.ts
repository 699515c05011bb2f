/** One import of a module, of whatever kind: of values, of types, for its effects, or dynamic. */
export interface Import {
  /** What stands between the quotes. */
  readonly specifier: string;
  readonly line: number;
}

/**
 * Reads the imports of a TypeScript module.
 *
 * @param source formatted as the formatter does it, so that import and export stand at the beginning of a line
 */
export function importsOf(source: string): Import[] {
  const code = withoutComments(source);
  const patterns = [
    /^(?:import|export)\b(?:[^;'"`]*?\bfrom\b)?\s*["']([^"'\n]+)["']/gm,
    /\bimport\s*\(\s*["']([^"'\n]+)["']/g,
    /\brequire\s*\(\s*["']([^"'\n]+)["']/g,
  ];
  return patterns
    .flatMap((pattern) => [...code.matchAll(pattern)])
    .map((match) => ({
      specifier: match[1] ?? "",
      line: code.slice(0, match.index + match[0].length).split("\n").length,
    }))
    .toSorted((a, b) => a.line - b.line);
}

/** The source with its comments blanked, lines kept. Strings are skipped, so that `"https://"` begins no comment. */
function withoutComments(source: string): string {
  const tokens = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return source.replace(tokens, (token) => (token.startsWith("/") ? token.replace(/[^\n]/g, " ") : token));
}

/** The files of a cycle, from a file back to itself; undefined when there is none. */
export function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const cycle = walk(next, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const cycle = walk(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}
