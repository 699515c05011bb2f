/**
 * A text as bytes in memory of their own. `Buffer.from` would take them from a pool that everything short-lived uses, too,
 * and a message of 100 bytes would keep 8 KiB for as long as it is stored.
 */
export function ownBytes(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
