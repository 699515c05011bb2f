import type { Message } from "../broker/broker.ts";

/**
 * Encodes the message frames of messages, each as one unmasked, unfragmented WebSocket text frame, ready to be written.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6455#section-5.2
 */
export function messageFrames(messages: readonly Message[]): Buffer {
  const heads = messages.map(({ id }) => `{"type":"message","id":"${id}",`);
  const lengths = messages.map(({ body }, index) => (heads[index]?.length ?? 0) + body.length);
  const frames = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + headerLength(length) + length, 0));
  let end = 0;
  for (const [index, { body }] of messages.entries()) {
    end = writeHeader(frames, end, lengths[index] ?? 0);
    end += frames.write(heads[index] ?? "", end, "latin1");
    end += body.copy(frames, end);
  }
  return frames;
}

/** Encodes any value as one WebSocket text frame of its JSON. */
export function jsonFrame(value: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(value));
  const frame = Buffer.allocUnsafe(headerLength(payload.length) + payload.length);
  payload.copy(frame, writeHeader(frame, 0, payload.length));
  return frame;
}

function headerLength(payloadLength: number): number {
  if (payloadLength < 126) return 2;
  return payloadLength < 65536 ? 4 : 10;
}

/** Writes FIN, opcode 1 and the payload length at a place; returns where the payload begins. */
function writeHeader(frame: Buffer, at: number, payloadLength: number): number {
  frame[at] = 0x81;
  if (payloadLength < 126) {
    frame[at + 1] = payloadLength;
    return at + 2;
  }
  if (payloadLength < 65536) {
    frame[at + 1] = 126;
    return frame.writeUInt16BE(payloadLength, at + 2);
  }
  frame[at + 1] = 127;
  return frame.writeBigUInt64BE(BigInt(payloadLength), at + 2);
}
