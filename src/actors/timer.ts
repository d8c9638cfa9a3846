/**
 * Messages that are sent later [OTP erlang:send_after/3, start_timer/3, cancel_timer/1].
 *
 * A timer to a pid is cancelled when its process ends; one to a name finds whoever has the name when it fires.
 */
import { BadArgError } from './errors.ts'
import { KeyedSet } from './keyed-set.ts'
import { Pid } from './pid.ts'
import type { Process } from './process.ts'
import type { Ref } from './ref.ts'
import type { Runtime } from './runtime.ts'
import type { Destination } from './signal.ts'
import type { TimerHandle } from './system.ts'

interface TimerOrder {
  readonly ref: Ref
  readonly to: Destination
  readonly message: unknown
  readonly isTimeout: boolean
}

/** One timer that runs; an object of its own, since two closures and what they capture would take twice the memory. */
class MessageTimer {
  readonly ref: Ref
  readonly to: Destination
  readonly message: unknown
  readonly isTimeout: boolean
  readonly process: Process | undefined
  readonly dueAtMs: number
  readonly handle: TimerHandle

  constructor(timers: MessageTimers, ms: number, runtime: Runtime, order: TimerOrder, process: Process | undefined) {
    this.ref = order.ref
    this.to = order.to
    this.message = order.message
    this.isTimeout = order.isTimeout
    this.process = process
    this.dueAtMs = runtime.clock.monotonic() + ms
    this.handle = runtime.timers.set(ms, () => timers.fire(this))
  }
}

export class MessageTimers {
  readonly #runtime: Runtime
  readonly #pending = new Map<number, MessageTimer>()

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  /** Number of timers that run. */
  get size(): number {
    return this.#pending.size
  }

  /** Sends a message after `ms`, or `{ tag: 'timeout', ref, message }` when it `isTimeout`. */
  start(ms: number, to: Destination, message: unknown, isTimeout: boolean): Ref {
    if (!(ms >= 0)) throw new BadArgError(`${ms} is no time in milliseconds`)
    const runtime = this.#runtime
    const ref = runtime.makeRef()
    const process = to instanceof Pid ? runtime.process(to) : undefined
    if (to instanceof Pid && process === undefined && !runtime.isForeign(to)) return ref
    this.#pending.set(ref.id as number, new MessageTimer(this, ms, runtime, { ref, to, message, isTimeout }, process))
    if (process !== undefined) {
      process.timers ??= new KeyedSet(itself)
      process.timers.add(ref)
    }
    return ref
  }

  /** The time of a timer has come. */
  fire({ ref, to, message, isTimeout }: MessageTimer): void {
    this.#take(ref)
    const runtime = this.#runtime
    const destination = typeof to === 'string' ? { name: to, node: runtime.node.name } : to
    runtime.send(destination, isTimeout ? { tag: 'timeout', ref, message } : message)
  }

  /** Returns the milliseconds that were left, or false when the timer has fired or never was. */
  cancel(ref: Ref): number | false {
    const timer = this.#runtime.isLocalRef(ref) ? this.#take(ref) : undefined
    if (timer === undefined) return false
    this.#runtime.timers.clear(timer.handle)
    return Math.max(0, Math.ceil(timer.dueAtMs - this.#runtime.clock.monotonic()))
  }

  /** The process has ended. */
  release(process: Process): void {
    if (process.timers === undefined) return
    for (const ref of [...process.timers]) this.cancel(ref)
    process.timers = undefined
  }

  cancelAll(): void {
    for (const { handle } of this.#pending.values()) this.#runtime.timers.clear(handle)
    this.#pending.clear()
  }

  #take(ref: Ref): MessageTimer | undefined {
    const timer = this.#pending.get(ref.id as number)
    this.#pending.delete(ref.id as number)
    timer?.process?.timers?.delete(ref)
    return timer
  }
}

function itself(ref: Ref): Ref {
  return ref
}
