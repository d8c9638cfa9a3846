/**
 * A rate limit in the form of a bucket: it holds as many tokens as come in a second and fills evenly, so that a burst of
 * one second's worth passes at once and what follows passes at the rate.
 */
export class RateLimit {
  readonly #perSec: number
  #tokens: number
  #filledAtMs: number

  /** `perSec` may be Infinity, for no limit. */
  constructor(perSec: number, nowMs: number) {
    this.#perSec = perSec
    this.#tokens = perSec
    this.#filledAtMs = nowMs
  }

  /** Takes a token; false when there is none. `nowMs` never goes back. */
  take(nowMs: number): boolean {
    if (this.#perSec === Number.POSITIVE_INFINITY) return true
    this.#fill(nowMs)
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Milliseconds until there will be a token, rounded up. */
  waitMs(nowMs: number): number {
    if (this.#perSec === Number.POSITIVE_INFINITY) return 0
    this.#fill(nowMs)
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1000) / this.#perSec)
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#perSec, this.#tokens + ((nowMs - this.#filledAtMs) * this.#perSec) / 1000)
    this.#filledAtMs = nowMs
  }
}
