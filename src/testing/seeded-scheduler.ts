/**
 * A scheduler that lets chance decide: which runnable process is next, and how many messages it may handle.
 *
 * It runs nothing by itself; the simulation steps it. Every order that it produces is one that the real scheduler could
 * produce under some load, so what holds for all seeds holds in production.
 */
import type { Flushable, Runnable, Scheduler } from '../actors/scheduler.ts'
import type { SeededRandom } from './random.ts'
import type { Trace } from './trace.ts'

const MOST_REDUCTIONS = 8

export class SeededScheduler implements Scheduler {
  turns = 0
  readonly #random: SeededRandom
  readonly #runnable: Runnable[] = []
  #dirty: Flushable[] = []
  #stopped = false
  readonly #onError: (error: unknown) => void

  readonly #trace: Trace

  constructor(random: SeededRandom, onError: (error: unknown) => void, trace: Trace) {
    this.#random = random
    this.#trace = trace
    this.#onError = onError
  }

  get runQueueLength(): number {
    return this.#runnable.length
  }

  /** True when there is something to run or to flush. */
  get isBusy(): boolean {
    return this.#runnable.length > 0 || this.#dirty.length > 0
  }

  ready(process: Runnable): void {
    if (!this.#stopped) this.#runnable.push(process)
  }

  atTurnEnd(flushable: Flushable): void {
    if (!this.#stopped) this.#dirty.push(flushable)
  }

  stop(): void {
    this.#stopped = true
    this.#runnable.length = 0
    this.#dirty = []
  }

  /** Runs one process, or ends the turn. */
  step(): void {
    const runnable = this.#runnable
    if (runnable.length === 0 || (this.#dirty.length > 0 && this.#random.below(4) === 0)) {
      this.#endTurn()
      return
    }
    const at = this.#random.below(runnable.length)
    const process = runnable[at]!
    this.#trace.note(at)
    runnable[at] = runnable[runnable.length - 1]!
    runnable.pop()
    if (process.run(1 + this.#random.below(MOST_REDUCTIONS))) this.ready(process)
  }

  #endTurn(): void {
    this.turns++
    const dirty = this.#dirty
    this.#dirty = []
    for (const flushable of dirty) {
      try {
        flushable.flush()
      } catch (error) {
        this.#onError(error)
      }
    }
  }
}
