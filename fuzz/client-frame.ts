/** A WebSocket frame of a client's, of which any part may be a lie. */
export interface ClientFrameParts {
  readonly opcode: number;
  readonly payload: Buffer;
  /** Default: true. */
  readonly fin?: boolean;
  /** RSV1, RSV2 and RSV3 as bits 4, 2 and 1. Default: 0. */
  readonly rsv?: number;
  /** Undefined: not masked. */
  readonly mask?: Buffer | undefined;
  /** What the header says of the length. Default: the truth. */
  readonly claimedLength?: bigint;
  /** Bytes that the header takes to say it: 0, 2 or 8. Default: the fewest. */
  readonly lengthBytes?: 0 | 2 | 8;
}

/** Opcodes of RFC 6455 section 5.2. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Writes a frame (RFC 6455 section 5.2). */
export function writeFrame(parts: ClientFrameParts): Buffer {
  const { opcode, payload, fin = true, rsv = 0, mask, claimedLength = BigInt(payload.length) } = parts;
  const needed = claimedLength < 126n ? 0 : claimedLength < 65536n ? 2 : 8;
  const lengthBytes = parts.lengthBytes ?? needed;
  const short = lengthBytes === 0 ? Number(claimedLength & 0x7fn) : lengthBytes === 2 ? 126 : 127;
  const header = Buffer.alloc(2 + lengthBytes);
  header[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  header[1] = (mask ? 0x80 : 0) | short;
  if (lengthBytes === 2) header.writeUInt16BE(Number(BigInt.asUintN(16, claimedLength)), 2);
  if (lengthBytes === 8) header.writeBigUInt64BE(BigInt.asUintN(64, claimedLength), 2);
  if (!mask) return Buffer.concat([header, payload]);
  return Buffer.concat([header, mask, payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))]);
}
