/** The token of an `Authorization: Bearer TOKEN` header (RFC 6750 section 2.1), or undefined when there is none. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +([^\s,]+) *$/i.exec(authorization ?? "")?.[1];
}
