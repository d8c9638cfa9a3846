/**
 * A hybrid logical clock: wall time where that will do, and later than everything seen where it will not.
 *
 * A clock value is one safe integer, ms × 1024 + counter, which lasts until the year 2248. Values that a node makes only grow, also
 * over restarts: a *ceiling* is on disc, a restarted node begins above it, and what has a value above the ceiling is not sent before a
 * greater one is on disc. It is set a little ahead of time, so that this costs a commit every second while there are writes.
 * A node that stops in order sets it back to what its clock has come to.
 *
 * Seeing a peer's value moves this clock only as far as `SKEW_MS` beyond its own wall clock. So a node whose clock is far
 * ahead does not take the others with it: what it writes wins until it is overwritten, and a write over such a row gets a stamp
 * just behind the row's, since a write must win over what its writer has seen. That is the only way in which a wrong clock
 * spreads. Stamps further ahead than `maxAheadMs` are not taken at all: see apply.ts.
 */

const TICKS_PER_MS = 1024

/** Clocks that are further apart than this are reported. */
export const SKEW_MS = 60_000

/** How far ahead the ceiling is set. What a restart adds to the clock at most, so a node that crashes again and again stays near its wall time. */
const RESERVE = clockAt(2000)
/** How close to the ceiling the next one is asked for. */
const RESERVE_WHEN = clockAt(1000)

/** The first clock value of a time, ms since 1970. */
export function clockAt(ms: number): number {
  return Math.max(0, Math.floor(ms)) * TICKS_PER_MS
}

/** The time of a clock value, ms since 1970. */
export function msOf(clock: number): number {
  return Math.floor(clock / TICKS_PER_MS)
}

export interface HybridClockOptions {
  /** ms since 1970. */
  readonly now: () => number
  /** The ceiling that the disc holds; 0 for a fresh one. */
  readonly ceiling: number
  /** Brings a ceiling to the disc and calls `raised` when it is there. Undefined for a node that forgets everything when it ends. */
  readonly reserve: ((ceiling: number, raised: () => void) => void) | undefined
}

export class HybridClock {
  readonly #now: () => number
  readonly #reserve: HybridClockOptions['reserve']
  #last: number
  #ceiling: number
  /** The ceiling that has been asked for. */
  #reserved: number

  constructor(options: HybridClockOptions) {
    this.#now = options.now
    this.#reserve = options.reserve
    this.#last = Math.max(clockAt(this.#now()) - 1, options.ceiling)
    this.#ceiling = this.#reserve === undefined ? Number.POSITIVE_INFINITY : options.ceiling
    this.#reserved = this.#ceiling
    this.#raise(this.#last)
  }

  /** Greatest value that it has made or taken note of. What it makes from now on is greater. */
  get last(): number {
    return this.#last
  }

  /** What is not above this will never be made again, whatever happens to this node. */
  get ceiling(): number {
    return this.#ceiling
  }

  /** Makes `count` values in a row, greater than all before and than `after`, and returns the first. */
  next(after: number, count: number): number {
    const first = Math.max(this.#last + 1, clockAt(this.#now()), after + 1)
    this.#last = first + count - 1
    this.#raise(this.#last)
    return first
  }

  /** Takes note of a peer's value. */
  observe(clock: number): void {
    if (clock > this.#last) this.#last = Math.max(this.#last, Math.min(clock, clockAt(this.#now() + SKEW_MS)))
  }

  /** A value that nothing made from now on is at or below, also after a restart. */
  promise(): number {
    this.#last = Math.max(this.#last, clockAt(this.#now()))
    this.#raise(this.#last)
    return Math.min(this.#last, this.#ceiling)
  }

  #raise(value: number): void {
    if (this.#reserve === undefined || value + RESERVE_WHEN < this.#reserved) return
    const ceiling = value + RESERVE
    this.#reserved = ceiling
    this.#reserve(ceiling, () => {
      this.#ceiling = Math.max(this.#ceiling, ceiling)
    })
  }
}
