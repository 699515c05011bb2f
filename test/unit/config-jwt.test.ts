import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, it } from "vitest";
import { ConfigError, readConfig } from "../../src/config.ts";
import { hush, marker } from "../support/secrets.ts";

const pem = ({ publicKey }: { publicKey: KeyObject }) => publicKey.export({ type: "spki", format: "pem" }).toString();
const p256 = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const privatePem = p256.privateKey.export({ type: "pkcs8", format: "pem" }).toString();

/** Refused with one problem that begins with the variable. */
function refused(variable: string, value: string, problem: string): void {
  const read = () => readConfig({ AUTH_MODE: "jwt", [variable]: value });
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(problem);
  expect(read).toThrow(new RegExp(`^${variable}: [^\n]+$`));
}

describe("JWT_PUBLIC_KEY", () => {
  it.each([
    ["RSA", pem(generateKeyPairSync("rsa", { modulusLength: 2048 }))],
    ["P-256", pem(p256)],
    ["P-384", pem(generateKeyPairSync("ec", { namedCurve: "secp384r1" }))],
    ["P-521", pem(generateKeyPairSync("ec", { namedCurve: "secp521r1" }))],
    ["Ed25519", pem(generateKeyPairSync("ed25519"))],
  ])("may be an %s key, its line breaks written as \\n, too", (_, key) => {
    for (const written of [key, key.replaceAll("\n", "\\n")]) {
      const { jwtPublicKey } = readConfig({ AUTH_MODE: "jwt", JWT_PUBLIC_KEY: written });
      expect(jwtPublicKey?.export({ type: "spki", format: "pem" })).toBe(key);
    }
  });

  it.each([
    ["no PEM", "key", "is not a public key in PEM format"],
    [
      "PEM that holds no key",
      "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
      "is not a public key in PEM",
    ],
    [
      "a short RSA key",
      pem(generateKeyPairSync("rsa", { modulusLength: 1024 })),
      "is an RSA key of less than 2048 bits",
    ],
    ["another curve", pem(generateKeyPairSync("ec", { namedCurve: "secp256k1" })), "is not an RSA, P-256"],
    ["bound to RSA-PSS", pem(generateKeyPairSync("rsa-pss", { modulusLength: 2048 })), "is not an RSA, P-256"],
    ["a key that signs nothing", pem(generateKeyPairSync("x25519")), "is not an RSA, P-256"],
    ["the private key", privatePem, "is a private key"],
  ])("is refused when it is %s", (_, value, problem) => {
    refused("JWT_PUBLIC_KEY", value, `its value ${problem}`);
  });
});

describe("JWT_JWKS_URL", () => {
  it("is a URL of http or https", () => {
    const { jwtJwksUrl } = readConfig({ AUTH_MODE: "jwt", JWT_JWKS_URL: "https://login.example.com/jwks" });
    expect(jwtJwksUrl?.href).toBe("https://login.example.com/jwks");
  });

  it.each(["login.example.com/jwks", "file:///etc/jwks", "https://"])("is refused as %s", (value) => {
    refused("JWT_JWKS_URL", value, "is not an http or https URL");
  });
});

describe("JWT_SECRET", () => {
  it("is refused when it is a PEM document, which is not shown", () => {
    const value = `-----BEGIN PUBLIC KEY-----\n${hush("pem")}`;
    refused("JWT_SECRET", value, "its value is a PEM document");
    expect(() => readConfig({ AUTH_MODE: "jwt", JWT_SECRET: value })).not.toThrow(marker);
  });

  it("must have 32 bytes in production, unless ALLOW_INSECURE=true", () => {
    const env = { NODE_ENV: "production", AUTH_MODE: "jwt", API_KEYS: hush("key"), JWT_SECRET: "ä".repeat(16) };
    expect(readConfig(env)).toMatchObject({ authMode: "jwt" });
    const short = { ...env, JWT_SECRET: "x".repeat(31) };
    expect(() => readConfig(short)).toThrow(/^JWT_SECRET: has less than 32 bytes[^\n]+$/);
    expect(readConfig({ ...short, ALLOW_INSECURE: "true" })).toMatchObject({ authMode: "jwt" });
  });
});
