/** Lets `perSecond` things a second through, and as many at once after a pause. */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #refilledAtMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#refilledAtMs = nowMs;
  }

  /**
   * Takes tokens if there are enough.
   *
   * @param nowMs a clock that does not go back, in ms
   * @param count how many; more than `perSecond` are never there at once, so such a count passes when the bucket is
   *   full and leaves it in debt
   * @returns 0 when taken, else the ms after which trying again makes sense
   */
  take(nowMs: number, count = 1): number {
    const refill = ((nowMs - this.#refilledAtMs) * this.#perSecond) / 1000;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + refill);
    this.#refilledAtMs = nowMs;
    const needed = Math.min(count, this.#perSecond);
    if (this.#tokens < needed) return Math.ceil(((needed - this.#tokens) * 1000) / this.#perSecond);
    this.#tokens -= count;
    return 0;
  }
}
