/** Digits that {@link writeDigits} and {@link readDigits} deal with in one part, within the integers that are fast. */
const partWidth = 9;
const partLimit = 10 ** partWidth;

const zero = 0x30;

/** Writes a whole number as decimals with leading zeros, so that it can be replaced where it stands. */
export function writeDigits(bytes: Uint8Array, at: number, width: number, value: number): void {
  const high = Math.floor(value / partLimit);
  const lowWidth = Math.min(width, partWidth);
  writePart(bytes, at + width - lowWidth, lowWidth, value - high * partLimit);
  if (width > partWidth) writePart(bytes, at, width - partWidth, high);
}

function writePart(bytes: Uint8Array, at: number, width: number, value: number): void {
  let rest = value | 0;
  for (let i = at + width - 1; i >= at; i--) {
    const tenth = (rest / 10) | 0;
    bytes[i] = zero + rest - tenth * 10;
    rest = tenth;
  }
}

/** Reads what {@link writeDigits} wrote; NaN where something else stands. */
export function readDigits(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = at; i < at + width; i++) {
    const digit = (bytes[i] ?? 0) - zero;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}
