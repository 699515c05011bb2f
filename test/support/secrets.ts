/** Stands in every secret of the tests, so that it is recognized wherever it comes out. */
export const marker = "hush-hush";

/** What tokens look like: two parts that are the base64url of JSON objects. */
const tokenLike = /eyJ[\w-]{5,}\.eyJ/;

/** Shorter texts are found in places where nobody told them, in characters. */
const minTextLength = 8;

/** A secret that is recognized. */
export function hush(name: string): string {
  return `${name}-${marker}`;
}

/**
 * Knows what must not come out of one service: what bears the {@link marker}, what looks like a token, and the data and
 * credentials that it was sent.
 */
export class SecretWatch {
  readonly #sent = new Set<string>();

  /**
   * Makes sure that the secrets that a service is given are recognized.
   *
   * @throws Error when one is not: its name would have to be made by {@link hush}
   */
  check(secrets: readonly (string | undefined)[]): void {
    const unknown = secrets.filter((secret) => secret !== undefined && !secret.includes(marker));
    if (unknown.length > 0) throw new Error(`secrets of tests are made by hush(): ${unknown.join(", ")}`);
  }

  /** Remembers secrets in which no name can be seen. */
  keep(...secrets: readonly (string | undefined)[]): void {
    for (const secret of secrets) if (secret !== undefined) this.#add(secret);
  }

  /** Remembers what a request carries: message data, on its own or in a batch, and an API key. */
  remember(body: unknown, authorization: string | undefined): void {
    const { data, messages } = Object(body) as { data?: unknown; messages?: unknown };
    this.#add(data);
    if (Array.isArray(messages)) for (const message of messages.slice(0, 10)) this.#add(Object(message).data);
    this.#add(authorization?.replace(/^\w+ +/, ""));
  }

  /** What of it stands in a text, such as a log line; undefined: nothing. */
  leakIn(text: string): string | undefined {
    if (text.includes(marker)) return marker;
    const [token] = tokenLike.exec(text) ?? [];
    if (token !== undefined) return token;
    // A text within a text has its quotes escaped.
    const plain = text.replaceAll("\\", "");
    return [...this.#sent].find((one) => plain.includes(one));
  }

  /** @throws Error with the texts that hold a secret */
  expectNone(where: string, texts: readonly string[]): void {
    const leaks = texts.filter((text) => this.leakIn(text) !== undefined);
    if (leaks.length > 0) throw new Error(`a secret in ${where}:\n${leaks.slice(0, 5).join("\n").slice(0, 2000)}`);
  }

  #add(value: unknown): void {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    if (text !== undefined && text.length >= minTextLength) this.#sent.add(text.replaceAll("\\", ""));
  }
}
