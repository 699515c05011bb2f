/** When a JSON Web Token expires, in ms since the Unix epoch; undefined when it does not say, or is no such token. */
export function expiryMsOf(token: string): number | undefined {
  try {
    const [, payload = ""] = token.split(".");
    const { exp } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { exp?: unknown };
    return typeof exp === "number" ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
