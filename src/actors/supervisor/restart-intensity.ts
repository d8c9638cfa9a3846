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
  /** Times of the restarts, oldest first; those before `#recent` are out of the period. */
  #restarts: number[] = []
  #recent = 0

  constructor(intensity: number, periodSec: number) {
    this.#intensity = intensity
    this.#periodMs = periodSec * 1000
  }

  /** Notes a restart at `nowMs` (monotonic); returns false when there have now been too many. */
  add(nowMs: number): boolean {
    const threshold = nowMs - this.#periodMs
    const restarts = this.#restarts
    while (this.#recent < restarts.length && restarts[this.#recent]! < threshold) this.#recent++
    // Most of the list is old: dropping it now costs each restart a constant share.
    if (this.#recent > restarts.length / 2) {
      restarts.splice(0, this.#recent)
      this.#recent = 0
    }
    restarts.push(nowMs)
    return restarts.length - this.#recent <= this.#intensity
  }
}
