/** What a client was let in with. */
export interface Credentials {
  /** null: anonymous. */
  readonly user: string | null;
  /** Undefined where nothing was presented that could expire or be revoked. */
  readonly token?: Token | undefined;
}

/** What is kept of a token once it was checked; never the token itself. */
export interface Token {
  /** Its id (RFC 7519 section 4.1.7). */
  readonly id: string | undefined;
  /** When it was issued, in ms since the Unix epoch; undefined when it does not say so. */
  readonly issuedAtMs: number | undefined;
  /** When it stops to be valid, in ms since the Unix epoch; undefined: never. */
  readonly expiresAtMs: number | undefined;
  /** Topics that its user may subscribe to, and patterns of them; default: none. */
  readonly topics?: readonly string[] | undefined;
}
