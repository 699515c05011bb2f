import { readApiKeysFile } from "../api-keys-file.ts";
import { type Config, ConfigError } from "../config.ts";
import type { Log } from "../log.ts";
import { watchFiles } from "../watched-files.ts";
import { ApiKeys } from "./api-keys.ts";
import { type Authenticator, FlagAuthenticator } from "./authenticator.ts";
import { JwtAuthenticator, type JwtKey } from "./jwt.ts";

/**
 * Makes the authenticator that AUTH_MODE and the JWT variables ask for.
 *
 * @throws TypeError when AUTH_MODE is jwt and there is no key
 */
export function authenticatorOf(config: Config): Authenticator {
  const { authMode, jwtSecret, jwtPublicKey, jwtJwksUrl, jwtIssuer, jwtAudience, jwtUserClaim } = config;
  if (authMode === "none") return new FlagAuthenticator();
  let key: JwtKey | undefined;
  if (jwtSecret !== undefined) key = { kind: "secret", secret: jwtSecret };
  if (jwtPublicKey) key = { kind: "public", key: jwtPublicKey };
  if (jwtJwksUrl) key = { kind: "jwks", url: jwtJwksUrl };
  if (!key) throw new TypeError("authMode is jwt: set one of jwtSecret, jwtPublicKey and jwtJwksUrl");
  return new JwtAuthenticator({ key, issuer: jwtIssuer, audience: jwtAudience, userClaim: jwtUserClaim });
}

/**
 * Makes the keys of API_KEYS or API_KEYS_FILE. Those of a file are replaced when it changes; when it becomes wrong or vanishes,
 * those that it held last stay valid, since nobody is to be locked out by an editor that saves in two steps.
 *
 * @returns the keys, and what ends watching the file
 * @throws ConfigError when both are set, or when the file cannot be used
 */
export function apiKeysOf(config: Config, log: Log): { readonly keys: ApiKeys; readonly close: () => void } {
  const { apiKeys, apiKeysFile } = config;
  if (apiKeysFile === undefined) return { keys: new ApiKeys(apiKeys), close: () => {} };
  if (apiKeys) throw new ConfigError(["apiKeys and apiKeysFile: set one of them"]);
  const found = readApiKeysFile(apiKeysFile);
  if (typeof found === "string") throw new ConfigError([`apiKeysFile: ${JSON.stringify(apiKeysFile)} ${found}`]);
  const keys = new ApiKeys(found);
  const close = watchFiles([apiKeysFile], () => {
    const changed = readApiKeysFile(apiKeysFile);
    if (typeof changed === "string") {
      log.error({ problem: changed }, "the file of API_KEYS_FILE cannot be used; the keys that it held stay valid");
      return;
    }
    keys.replace(changed);
    log.info({ keys: changed.map(({ name }) => name) }, "the API keys were replaced");
  });
  return { keys, close };
}
