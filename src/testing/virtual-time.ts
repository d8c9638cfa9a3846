/**
 * Time that passes only when told: the clock and the timers of simulated runtimes.
 *
 * Timers that are due at the same time fire in the order in which they were set, as Node's do for equal delays.
 */
import type { Clock, TimerHandle, Timers } from '../actors/system.ts'

interface VirtualTimer {
  readonly dueAtMs: number
  readonly order: number
  callback: (() => void) | undefined
}

export class VirtualTime implements Clock, Timers {
  #nowMs: number
  readonly #startMs: number
  #order = 0
  /** A binary heap, earliest first. */
  readonly #heap: VirtualTimer[] = []

  /** `startMs` is what the wall clock shows at the beginning. */
  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs
    this.#startMs = startMs
  }

  now(): number {
    return Math.floor(this.#nowMs)
  }

  monotonic(): number {
    return this.#nowMs - this.#startMs
  }

  set(ms: number, callback: () => void): TimerHandle {
    const timer: VirtualTimer = { dueAtMs: this.#nowMs + Math.max(0, ms), order: this.#order++, callback }
    this.#push(timer)
    return timer
  }

  clear(handle: TimerHandle): void {
    ;(handle as VirtualTimer).callback = undefined
  }

  /** Number of timers that are set. */
  get pending(): number {
    return this.#heap.filter(({ callback }) => callback !== undefined).length
  }

  /** Milliseconds until the next timer is due; undefined when there is none. */
  get nextInMs(): number | undefined {
    this.#dropCleared()
    return this.#heap[0] === undefined ? undefined : this.#heap[0].dueAtMs - this.#nowMs
  }

  /** Goes on to the next timer and fires it. */
  fireNext(): void {
    this.#dropCleared()
    const timer = this.#pop()
    if (timer === undefined) return
    this.#nowMs = Math.max(this.#nowMs, timer.dueAtMs)
    const { callback } = timer
    timer.callback = undefined
    callback?.()
  }

  /** Lets time pass in which nothing is due. */
  skip(ms: number): void {
    this.#nowMs += ms
  }

  #dropCleared(): void {
    while (this.#heap[0] !== undefined && this.#heap[0].callback === undefined) this.#pop()
  }

  #push(timer: VirtualTimer): void {
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, timer)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = timer
  }

  #pop(): VirtualTimer | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.dueAtMs < b.dueAtMs || (a.dueAtMs === b.dueAtMs && a.order < b.order)
}
