import type { Message } from "../broker/broker.ts";
import { frameText, messageHead, type ServerFrame, type WelcomeFrame } from "../protocol/frames.ts";
import { compress } from "./compression.ts";

/**
 * Encodes the message frames of messages, each as one unmasked, unfragmented WebSocket text frame, ready to be written.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6455#section-5.2
 */
export function messageFrames(messages: readonly Message[]): Buffer {
  const heads = messages.map(({ id }) => messageHead(id));
  const lengths = messages.map(({ body }, index) => (heads[index]?.length ?? 0) + body.length);
  const frames = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + headerLength(length) + length, 0));
  let end = 0;
  for (const [index, { body }] of messages.entries()) {
    end = writeHeader(frames, end, lengths[index] ?? 0, text);
    end += frames.write(heads[index] ?? "", end, "latin1");
    end += body.copy(frames, end);
  }
  return frames;
}

/**
 * The same for clients that `permessage-deflate` was agreed with: each message compressed by itself, where that is worth it.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
 */
export function compressedMessageFrames(messages: readonly Message[]): Buffer {
  return Buffer.concat(messages.map(compressedMessageFrame));
}

function compressedMessageFrame({ id, body }: Message): Buffer {
  const payload = Buffer.concat([Buffer.from(messageHead(id), "latin1"), body]);
  const compressed = compress(payload);
  return compressed ? frameOf(compressed, textCompressed) : frameOf(payload, text);
}

/** Encodes a frame beside the messages as one WebSocket text frame. */
export function jsonFrame(frame: WelcomeFrame | ServerFrame): Buffer {
  return frameOf(Buffer.from(frameText(frame)), text);
}

/** FIN and opcode 1, and the same with RSV1, which says that the payload is compressed. */
const text = 0x81;
const textCompressed = 0xc1;

function frameOf(payload: Buffer, firstByte: number): Buffer {
  const frame = Buffer.allocUnsafe(headerLength(payload.length) + payload.length);
  payload.copy(frame, writeHeader(frame, 0, payload.length, firstByte));
  return frame;
}

function headerLength(payloadLength: number): number {
  if (payloadLength < 126) return 2;
  return payloadLength < 65536 ? 4 : 10;
}

/** Writes the first byte and the payload length at a place; returns where the payload begins. */
function writeHeader(frame: Buffer, at: number, payloadLength: number, firstByte: number): number {
  frame[at] = firstByte;
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
