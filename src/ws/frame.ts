import type { Message } from "../broker/broker.ts";

/**
 * Encodes the message frame of a message as one unmasked, unfragmented WebSocket text frame, ready to be written.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6455#section-5.2
 */
export function messageFrame(message: Message): Buffer {
  const head = `{"type":"message","id":"${message.id}",`;
  const length = head.length + message.body.length;
  const frame = Buffer.allocUnsafe(headerLength(length) + length);
  const start = writeHeader(frame, length);
  frame.write(head, start, "latin1");
  message.body.copy(frame, start + head.length);
  return frame;
}

/** Encodes any value as one WebSocket text frame of its JSON. */
export function jsonFrame(value: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(value));
  const frame = Buffer.allocUnsafe(headerLength(payload.length) + payload.length);
  payload.copy(frame, writeHeader(frame, payload.length));
  return frame;
}

function headerLength(payloadLength: number): number {
  if (payloadLength < 126) return 2;
  return payloadLength < 65536 ? 4 : 10;
}

/** Writes FIN, opcode 1 and the payload length; returns where the payload begins. */
function writeHeader(frame: Buffer, payloadLength: number): number {
  frame[0] = 0x81;
  if (payloadLength < 126) {
    frame[1] = payloadLength;
    return 2;
  }
  if (payloadLength < 65536) {
    frame[1] = 126;
    return frame.writeUInt16BE(payloadLength, 2);
  }
  frame[1] = 127;
  return frame.writeBigUInt64BE(BigInt(payloadLength), 2);
}
