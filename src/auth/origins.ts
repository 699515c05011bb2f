import type { AllowedOrigin } from "../config-values.ts";

/**
 * Whether a page of this origin may connect. A client that is no browser sends no `Origin` and is let in: the check keeps
 * foreign pages from using a browser's access, and whoever is no browser can write any header anyway.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6455#section-10.2
 */
export function isOriginAllowed(origin: string | undefined, allowed: readonly AllowedOrigin[]): boolean {
  if (origin === undefined || allowed.some(({ kind }) => kind === "any")) return true;
  if (!URL.canParse(origin)) return false;
  const { origin: canonical, protocol, host } = new URL(origin);
  return allowed.some((entry) => {
    if (entry.kind === "exact") return entry.origin === canonical;
    return entry.kind === "subdomains" && protocol === `${entry.scheme}:` && host.endsWith(entry.suffix);
  });
}
