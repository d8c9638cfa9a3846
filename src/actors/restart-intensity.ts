/**
 * Restart intensity: how often a supervisor restarts children before it gives up [OTP supervisor, "Tuning the Intensity"].
 *
 * Every restart is noted with its time; when more than `intensity` of them lie within the last `periodSec` seconds, the
 * limit is reached. OTP counts in whole seconds of its monotonic clock; here the clock of the runtime is used as it is, so
 * a limit is never reached later than OTP would and at most a second earlier.
 */
export class RestartIntensity {
  readonly #intensity: number
  readonly #periodMs: number
  /** Times of the restarts within the period, oldest first; at most `intensity` + 1. */
  #restarts: number[] = []

  constructor(intensity: number, periodSec: number) {
    this.#intensity = intensity
    this.#periodMs = periodSec * 1000
  }

  /** Notes a restart at `nowMs` (monotonic); returns false when there have now been too many. */
  add(nowMs: number): boolean {
    const threshold = nowMs - this.#periodMs
    const recent = this.#restarts.findIndex((at) => at >= threshold)
    this.#restarts = recent < 0 ? [] : this.#restarts.slice(recent)
    this.#restarts.push(nowMs)
    return this.#restarts.length <= this.#intensity
  }
}
