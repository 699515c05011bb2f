import { readApiKeysFile } from "../api-keys-file.ts";
import { type Config, ConfigError } from "../config.ts";
import type { Log } from "../log.ts";
import { watchFiles } from "../named-files.ts";
import { ApiKeys } from "./api-keys.ts";
import { type Authenticator, FlagAuthenticator } from "./authenticator.ts";
import { JwtAuthenticator, type JwtKey } from "./jwt.ts";

/**
 * Makes the authenticator that AUTH_MODE and the JWT variables ask for.
 *
 * @param config with one key when AUTH_MODE is jwt, as `checkConfig` makes sure
 */
export function authenticatorOf(config: Config): Authenticator {
  if (config.authMode === "none") return new FlagAuthenticator();
  const { jwtIssuer: issuer, jwtAudience: audience, jwtUserClaim: userClaim } = config;
  const { jwtTopicsClaim: topicsClaim } = config;
  return new JwtAuthenticator({ key: jwtKeyOf(config), issuer, audience, userClaim, topicsClaim });
}

function jwtKeyOf({ jwtSecret, jwtPublicKey, jwtJwksUrl }: Config): JwtKey {
  if (jwtSecret !== undefined) return { kind: "secret", secret: jwtSecret };
  if (jwtPublicKey) return { kind: "public", key: jwtPublicKey };
  if (jwtJwksUrl) return { kind: "jwks", url: jwtJwksUrl };
  throw new TypeError("there is no key to check tokens with");
}

/**
 * Makes the keys of API_KEYS or API_KEYS_FILE. Those of a file are replaced when it changes; when it becomes wrong or vanishes,
 * those that it held last stay valid, since nobody is to be locked out by an editor that saves in two steps.
 *
 * @returns the keys, and what ends watching the file
 * @throws ConfigError when the file cannot be used
 */
export function apiKeysOf(config: Config, log: Log): { readonly keys: ApiKeys; readonly close: () => void } {
  const { apiKeys, apiKeysFile } = config;
  if (apiKeysFile === undefined) return { keys: new ApiKeys(apiKeys), close: () => {} };
  const found = readApiKeysFile(apiKeysFile);
  if (typeof found === "string") throw new ConfigError([found]);
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
