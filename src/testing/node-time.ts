/**
 * Time as one simulated node has it: the time of the simulation, with a wall clock that may be wrong and timers that end with the
 * node.
 *
 * A node that stands still (SIGSTOP) has no timers meanwhile; those that were due fire when it goes on, in their order.
 */
import type { Clock, TimerHandle, Timers } from '../actors/system.ts'
import type { VirtualTime } from './virtual-time.ts'

interface NodeTimer {
  handle: TimerHandle | undefined
  callback: (() => void) | undefined
}

export class NodeTime implements Clock, Timers {
  /** How far the wall clock is ahead, ms. */
  skewMs = 0
  readonly #time: VirtualTime
  /** Timers that were due while the node stood still. */
  #held: NodeTimer[] | undefined = undefined
  readonly #pending = new Set<NodeTimer>()
  #isStopped = false

  constructor(time: VirtualTime) {
    this.#time = time
  }

  now(): number {
    return Math.floor(this.#time.now() + this.skewMs)
  }

  monotonic(): number {
    return this.#time.monotonic()
  }

  set(ms: number, callback: () => void): TimerHandle {
    const timer: NodeTimer = { handle: undefined, callback }
    if (this.#isStopped) return timer
    this.#pending.add(timer)
    timer.handle = this.#time.set(ms, () => {
      this.#pending.delete(timer)
      if (this.#held === undefined) fire(timer)
      else this.#held.push(timer)
    })
    return timer
  }

  clear(handle: TimerHandle): void {
    const timer = handle as NodeTimer
    timer.callback = undefined
    this.#pending.delete(timer)
    if (timer.handle !== undefined) this.#time.clear(timer.handle)
  }

  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const timer of held) fire(timer)
  }

  /** The node is dead: none of its timers fires any more. */
  stop(): void {
    this.#isStopped = true
    this.#held = undefined
    for (const timer of [...this.#pending]) this.clear(timer)
  }
}

function fire(timer: NodeTimer): void {
  const { callback } = timer
  timer.callback = undefined
  callback?.()
}
