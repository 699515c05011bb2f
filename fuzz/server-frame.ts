import { isUtf8 } from "node:buffer";
import { inflateRawSync, constants as zlib } from "node:zlib";
import { opcodes } from "./client-frame.ts";

/** A frame of the service's, its text inflated. */
export interface ServerFrame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** What was read of the bytes behind a 101. */
export interface ReadFrames {
  readonly frames: readonly ServerFrame[];
  /** What is not as RFC 6455 has it, or this service would not write; undefined: nothing. */
  readonly fault: string | undefined;
}

/** Reads frames strictly; a frame that is not whole yet is left out. */
export function readFrames(bytes: Buffer, isDeflateAgreed: boolean): ReadFrames {
  const frames: ServerFrame[] = [];
  let at = 0;
  while (bytes.length - at >= 2) {
    const [first = 0, second = 0] = bytes.subarray(at);
    const extended = (second & 0x7f) < 126 ? 0 : (second & 0x7f) === 126 ? 2 : 8;
    const start = at + 2 + extended;
    if (start > bytes.length) break;
    const length =
      extended === 0 ? second & 0x7f : bytes.readUIntBE(start - Math.min(extended, 6), Math.min(extended, 6));
    if (start + length > bytes.length) break;
    const payload = bytes.subarray(start, start + length);
    const fault =
      headerFault(first, second, length, isDeflateAgreed) ??
      (frames.at(-1)?.opcode === opcodes.close ? "a frame behind the close frame" : undefined);
    if (fault !== undefined) return { frames, fault };
    const frame = { opcode: first & 0x0f, payload: first & 0x40 ? inflate(payload) : payload };
    if (frame.opcode === opcodes.text && !isUtf8(frame.payload)) return { frames, fault: "a text that is not UTF-8" };
    frames.push(frame);
    at = start + length;
  }
  return { frames, fault: undefined };
}

function headerFault(first: number, second: number, length: number, isDeflateAgreed: boolean): string | undefined {
  const opcode = first & 0x0f;
  if ((first & 0x80) === 0) return "a fragment";
  if ((first & 0x30) !== 0 || ((first & 0x40) !== 0 && !(isDeflateAgreed && opcode === opcodes.text)))
    return "RSV bits";
  if ((second & 0x80) !== 0) return "a mask";
  const fewest = length < 126 ? length : length < 65536 ? 126 : 127;
  if (second !== fewest) return "a length in too many bytes";
  if (![opcodes.text, opcodes.close, opcodes.ping, opcodes.pong].includes(opcode as 1)) return `opcode ${opcode}`;
  return opcode >= 8 && length > 125 ? "a control frame that is too long" : undefined;
}

function inflate(payload: Buffer): Buffer {
  return inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]), { finishFlush: zlib.Z_SYNC_FLUSH });
}
