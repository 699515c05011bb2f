const originNs = Number(process.hrtime.bigint()) - performance.now() * 1e6;

/**
 * Now, in ns since this machine started: the same clock in every thread and process, not moved by who sets the time. The
 * last digits are blurred by the size of the number, far below a microsecond.
 */
export function nowNs(): number {
  return originNs + performance.now() * 1e6;
}
