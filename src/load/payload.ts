import { readDigits, writeDigits } from "./digits.ts";

/** Digits of a time in ns, and of a message's number. */
const timeWidth = 18;
const numberWidth = 9;

const timeName = '{"sentAt":"';
const numberName = `","number":"`;
const paddingName = `","padding":"`;
const end = '"}';

const timeAt = timeName.length;
const numberAt = timeAt + timeWidth + numberName.length;

/** Padding that compresses as the events of an application do. */
const padding =
  "order 1042 of ACME at 101.25 was filled: 300 bought, 12 left, venue XETRA, account 7731; order 1043 of GLOBEX at 88.10 is open; ";

/** Size of a payload without padding, in bytes. */
export const minPayloadBytes = numberAt + numberWidth + paddingName.length + end.length;

const marker = Buffer.from(timeName);

/** JSON of exactly the wanted size, with places for the time and the number that {@link stampPayload} writes. */
export function payloadOf(size: number): string {
  if (size < minPayloadBytes) throw new RangeError(`a payload has at least ${minPayloadBytes} bytes`);
  const room = size - minPayloadBytes;
  const text = padding.repeat(Math.ceil(room / padding.length)).slice(0, room);
  return `${timeName}${"0".repeat(timeWidth)}${numberName}${"0".repeat(numberWidth)}${paddingName}${text}${end}`;
}

/**
 * Writes time and number into a payload where it stands.
 *
 * @param at where the payload begins
 * @param timeNs on the clock of `nowNs`
 */
export function stampPayload(bytes: Uint8Array, at: number, timeNs: number, number: number): void {
  writeDigits(bytes, at + timeAt, timeWidth, Math.floor(timeNs));
  writeDigits(bytes, at + numberAt, numberWidth, number % 10 ** numberWidth);
}

/**
 * Finds a payload between two places and reads when it was sent.
 *
 * @returns ns on the clock of `nowNs`; undefined where there is none
 */
export function sentAtNs(bytes: Buffer, from: number, to: number): number | undefined {
  const found = bytes.indexOf(marker, from);
  const at = found + marker.length;
  if (found === -1 || at + timeWidth > to) return undefined;
  const timeNs = readDigits(bytes, at, timeWidth);
  return Number.isNaN(timeNs) ? undefined : timeNs;
}
