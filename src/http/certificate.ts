import type { Server as TlsServer } from "node:tls";
import { type Config, ConfigError } from "../config.ts";
import type { Log } from "../log.ts";
import { watchFiles } from "../named-files.ts";
import { type KeyPair, minTlsVersion, readKeyPair } from "../tls-files.ts";

/** The certificate that the listeners serve. When its files change it is replaced, for connections that come from then on. */
export class Certificate {
  readonly #certFile: string;
  readonly #keyFile: string;
  readonly #log: Log;
  readonly #servers: TlsServer[] = [];
  readonly #unwatch: () => void;
  #pair: KeyPair;

  /**
   * Reads the files and goes on watching them.
   *
   * @throws ConfigError when they cannot be served
   */
  constructor(certFile: string, keyFile: string, log: Log) {
    this.#certFile = certFile;
    this.#keyFile = keyFile;
    this.#log = log;
    const pair = readKeyPair(certFile, keyFile);
    if (!("cert" in pair)) throw new ConfigError(pair);
    this.#pair = pair;
    this.#unwatch = watchFiles([certFile, keyFile], () => this.#reload());
  }

  /** What a server is created with. */
  get options() {
    return { ...this.#pair, minVersion: minTlsVersion } as const;
  }

  /** Lets a server have every certificate that comes. */
  renewFor(server: TlsServer): void {
    this.#servers.push(server);
  }

  /** Ends watching. */
  close(): void {
    this.#unwatch();
  }

  /** What is wrong is logged and changes nothing: it may be half of a change. */
  #reload(): void {
    const pair = readKeyPair(this.#certFile, this.#keyFile);
    if (!("cert" in pair)) {
      this.#log.error(
        { problems: pair },
        "the files of TLS_CERT and TLS_KEY cannot be served; going on with what they held",
      );
      return;
    }
    if (pair.cert.equals(this.#pair.cert) && pair.key.equals(this.#pair.key)) return;
    this.#pair = pair;
    for (const server of this.#servers) server.setSecureContext(this.options);
    this.#log.info("the certificate was replaced");
  }
}

/**
 * The certificate of TLS_CERT and TLS_KEY; undefined when they are not set.
 *
 * @throws ConfigError when they cannot be served
 */
export function certificateOf({ tlsCert, tlsKey }: Config, log: Log): Certificate | undefined {
  return tlsCert === undefined || tlsKey === undefined ? undefined : new Certificate(tlsCert, tlsKey, log);
}
