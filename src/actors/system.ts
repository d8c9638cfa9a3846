/**
 * What a runtime needs from the world: a clock, timers, randomness and a scheduler.
 *
 * Nothing else in the source reads the wall clock, draws a random number or sets a timer past the one it is given, so a
 * whole cluster can run under virtual time in one OS process (src/testing). `realSystem` is the world as it is.
 */
import { randomFillSync, randomUUID } from 'node:crypto'
import { NactScheduler, type Scheduler } from './scheduler.ts'

export interface Clock {
  /** Wall clock: ms since 1970. May jump. */
  now(): number
  /** ms since some start, with fractions; never goes back. */
  monotonic(): number
}

/** Returned by `Timers.set`, given to `Timers.clear`. */
export type TimerHandle = object

export interface Timers {
  /** Calls `callback` once after `ms` milliseconds; with 0 as soon as what has arrived has been looked at. */
  set(ms: number, callback: () => void): TimerHandle
  clear(handle: TimerHandle): void
}

export interface System {
  readonly clock: Clock
  readonly timers: Timers
  /** A number in [0, 1). */
  random(): number
  /** Fills the buffer with bytes fit for secrets. */
  randomFill(buffer: Uint8Array): void
  createScheduler(onError: (error: unknown) => void): Scheduler
}

/** Node's `setTimeout` fires at once for anything longer; longer waits are cut into pieces. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** The real clock, timers, randomness and scheduler of the OS process. */
export function realSystem(): System {
  const clock = { now: () => Date.now(), monotonic: () => performance.now() }
  return {
    clock,
    timers: REAL_TIMERS,
    random: () => Math.random(),
    randomFill: (buffer) => void randomFillSync(buffer),
    createScheduler: (onError) => new NactScheduler(`node-${randomUUID()}`, clock, onError),
  }
}

/** A wait longer than `setTimeout` can do. */
class LongTimer {
  #handle: NodeJS.Timeout

  constructor(ms: number, callback: () => void) {
    this.#handle = this.#arm(ms, callback)
  }

  clear(): void {
    clearTimeout(this.#handle)
  }

  #arm(ms: number, callback: () => void): NodeJS.Timeout {
    if (ms <= MAX_TIMEOUT_MS) return setTimeout(callback, ms)
    return setTimeout(() => {
      this.#handle = this.#arm(ms - MAX_TIMEOUT_MS, callback)
    }, MAX_TIMEOUT_MS)
  }
}

/** A wait of 0 ms: `setTimeout` makes a millisecond of it, which long work in short pieces would spend waiting. */
class ImmediateTimer {
  readonly #handle: NodeJS.Immediate

  constructor(callback: () => void) {
    this.#handle = setImmediate(callback)
  }

  clear(): void {
    clearImmediate(this.#handle)
  }
}

/** Timers of the OS process; nearly all are Node's own objects, with nothing around them. */
const REAL_TIMERS: Timers = {
  set: (ms, callback) => {
    if (ms === 0) return new ImmediateTimer(callback)
    return ms <= MAX_TIMEOUT_MS ? setTimeout(callback, ms) : new LongTimer(ms, callback)
  },
  clear: (handle) => {
    if (handle instanceof LongTimer || handle instanceof ImmediateTimer) handle.clear()
    else clearTimeout(handle as NodeJS.Timeout)
  },
}
