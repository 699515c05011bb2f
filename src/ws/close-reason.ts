import { maxReasonBytes } from "../protocol/close-codes.ts";

/** A text as the reason of a close frame: cut to what fits into one, without breaking a character. `ws` throws on more. */
export function closeReason(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxReasonBytes) return bytes;
  let end = maxReasonBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
